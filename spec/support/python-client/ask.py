"""MCP's Python client at work, for a spec that wants to see what it makes of an answer.

Reads one job a line from stdin, a JSON object:

    url        the MCP endpoint
    headers    sent with every request
    era        "legacy" (initialize) or "modern" (2026-07-28; `mcp` 2.x only)
    calls      tool calls, one after the other on one connection: [{"name": ..., "arguments": {...}}]
    timeout_s  how long to wait for the connection, and for each call

and answers each with one line on stdout, a JSON array: what became of the connection, then of each call that could still
be made. An element is

    outcome    "result" | "error" (a result with isError) | "exception" | "hang" (nothing within timeout_s)
    type       the exception's class; None for the others
    code       of the JSON-RPC error, or the HTTP status where the exception has only that; None otherwise
    message    what the exception or the result says

Works with `mcp` 1.x and 2.x. An exception that ends the connection itself is reported once, where it was noticed.
"""

import asyncio
import json
import sys
from contextlib import asynccontextmanager

import anyio
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client

try:
    from mcp import Client
except ImportError:  # 1.x
    Client = None
    from mcp import ClientSession


@asynccontextmanager
async def connection(job):
    """A connected client, whatever the version of the library calls it."""
    async with create_mcp_http_client(headers=job["headers"]) as http:
        transport = streamable_http_client(job["url"], http_client=http)
        if Client is not None:
            mode = "2026-07-28" if job["era"] == "modern" else "legacy"
            async with Client(transport, mode=mode) as client:
                yield client
        else:
            async with transport as (read, write, _):
                async with ClientSession(read, write) as session:
                    await session.initialize()
                    yield session


def outcome(kind, type=None, code=None, message=""):
    return {"outcome": kind, "type": type, "code": code, "message": message}


def of_result(result):
    is_error = getattr(result, "isError", None) or getattr(result, "is_error", None)
    texts = [getattr(part, "text", "") for part in result.content]
    return outcome("error" if is_error else "result", message=" ".join(texts))


def of_exception(error):
    # A task group wraps what went wrong in it.
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    rpc = getattr(error, "error", None)
    response = getattr(error, "response", None)
    code = getattr(rpc, "code", None) or getattr(response, "status_code", None)
    return outcome("exception", type(error).__name__, code, getattr(rpc, "message", None) or str(error))


async def answer(job):
    answers = []
    wanted = 1 + len(job["calls"])
    try:
        with anyio.move_on_after(job["timeout_s"] * wanted) as whole:
            async with connection(job) as client:
                answers.append(outcome("result"))
                for call in job["calls"]:
                    answers.append(await one_call(client, call, job["timeout_s"]))
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        if len(answers) < wanted:
            answers.append(of_exception(error))
    if whole.cancelled_caught and len(answers) < wanted:
        answers.append(outcome("hang"))
    return answers


async def one_call(client, call, timeout_s):
    try:
        with anyio.fail_after(timeout_s):
            return of_result(await client.call_tool(call["name"], call["arguments"]))
    except TimeoutError:
        return outcome("hang")
    except Exception as error:
        return of_exception(error)


for line in sys.stdin:
    print(json.dumps(asyncio.run(answer(json.loads(line)))), flush=True)
