/** The request line as nginx received it. */

/**
 * Splits `POST /mcp/jira?x=1 HTTP/1.1`.
 *
 * @returns undefined for anything else, absolute-form targets included (nginx would route on the inner path)
 */
export function parseRequestLine(line: string): { verb: string; path: string; query: string } | undefined {
  const match = /^([A-Z][A-Z-]{0,19}) (\/[^\s?#]*)(?:\?([^\s#]*))? HTTP\/[12](?:\.[01])?$/.exec(line)
  if (!match) return undefined
  return { verb: match[1] ?? '', path: match[2] ?? '', query: match[3] ?? '' }
}
