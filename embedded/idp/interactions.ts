import type { IncomingMessage, ServerResponse } from 'node:http'
import type { InteractionDetails, Provider } from 'oidc-provider'
import { errors } from 'oidc-provider'
import { consentPage, errorPage, loginPage } from './pages.ts'
import { authenticate, findPerson } from './people.ts'

/** The longest form a login page accepts, in bytes; ours are far shorter. */
const maxFormBytes = 16 * 1024

/** Is this the address of a login or consent page? They are the provider's only pages. */
export function isInteraction(request: IncomingMessage): boolean {
  return /^\/interaction\/[\w-]+$/.test(pathOf(request))
}

/**
 * Serves the login and consent pages, and takes their forms.
 *
 * Which of the two is shown is the provider's decision, bound to the browser by a signed cookie. A wrong password shows the
 * login page again (403); a page whose login has expired or belongs to another browser says so (400).
 */
export async function handleInteraction(
  provider: Provider,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  try {
    const details = await provider.interactionDetails(request, response)
    const form = request.method === 'POST' ? await readForm(request) : undefined
    if (form === undefined) await show(provider, details, response)
    else if (details.prompt.name === 'login') await takeLogin(provider, details, form, request, response)
    else await takeConsent(provider, details, form, request, response)
  } catch (error) {
    if (!(error instanceof errors.SessionNotFound) && !(error instanceof RangeError)) throw error
    sendPage(response, 400, errorPage('This sign-in has expired, or was begun in another browser.'))
  }
}

async function show(provider: Provider, details: InteractionDetails, response: ServerResponse): Promise<void> {
  const { prompt } = details
  const client = await clientOf(provider, details)
  if (prompt.name === 'login') {
    sendPage(response, 200, loginPage({ ...client, ...pageOf(details), wasRefused: false }))
    return
  }
  const missing = prompt.details.missingResourceScopes ?? {}
  sendPage(
    response,
    200,
    consentPage({
      ...client,
      action: pageOf(details).action,
      personName: findPerson(details.session?.accountId ?? '')?.name ?? 'Hello',
      scopes: [...new Set([...(prompt.details.missingOIDCScope ?? []), ...Object.values(missing).flat()])],
      resources: Object.keys(missing),
    }),
  )
}

async function takeLogin(
  provider: Provider,
  details: InteractionDetails,
  form: URLSearchParams,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const person = authenticate(form.get('user') ?? '', form.get('password') ?? '')
  if (person === undefined) {
    const client = await clientOf(provider, details)
    sendPage(response, 403, loginPage({ ...client, ...pageOf(details), wasRefused: true }))
    return
  }
  const result = { login: { accountId: person.id } }
  await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false })
}

async function takeConsent(
  provider: Provider,
  details: InteractionDetails,
  form: URLSearchParams,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (form.get('decision') !== 'allow') {
    const denied = { error: 'access_denied', error_description: 'access was not allowed' }
    await provider.interactionFinished(request, response, denied, { mergeWithLastSubmission: false })
    return
  }
  const { missingOIDCScope, missingResourceScopes } = details.prompt.details
  const accountId = details.session?.accountId ?? ''
  const known = details.grantId === undefined ? undefined : await provider.Grant.find(details.grantId)
  const grant = known ?? new provider.Grant({ accountId, clientId: clientIdOf(details) })
  if (missingOIDCScope !== undefined) grant.addOIDCScope(missingOIDCScope.join(' '))
  for (const [resource, scopes] of Object.entries(missingResourceScopes ?? {})) {
    grant.addResourceScope(resource, scopes.join(' '))
  }
  const result = { consent: { grantId: await grant.save() } }
  await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: true })
}

function pageOf(details: InteractionDetails): { action: string; resource: string | undefined } {
  const { resource } = details.params
  return { action: `/interaction/${details.uid}`, resource: typeof resource === 'string' ? resource : undefined }
}

async function clientOf(
  provider: Provider,
  details: InteractionDetails,
): Promise<{ clientName: string; sendsTo: string }> {
  const clientId = clientIdOf(details)
  const client = await provider.Client.find(clientId)
  const sendsTo = URL.parse(String(details.params['redirect_uri']))?.host ?? ''
  return { clientName: client?.clientName ?? clientId, sendsTo }
}

function clientIdOf(details: InteractionDetails): string {
  return String(details.params['client_id'])
}

function pathOf(request: IncomingMessage): string {
  return (request.url ?? '/').split('?', 1)[0] ?? '/'
}

/** @throws RangeError for a form over the limit */
async function readForm(request: IncomingMessage): Promise<URLSearchParams> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > maxFormBytes) throw new RangeError(`a form is at most ${maxFormBytes} bytes`)
    chunks.push(chunk)
  }
  return new URLSearchParams(Buffer.concat(chunks).toString('utf8'))
}

function sendPage(response: ServerResponse, status: number, html: string): void {
  response.writeHead(status, {
    'content-type': 'text/html; charset=utf-8',
    'cache-control': 'no-store',
    'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
  })
  response.end(html)
}
