import { demoPassword, people } from './people.ts'

/**
 * The login page.
 *
 * @param page.action     where the form posts to
 * @param page.clientName who wants to know, as registered; shown as text
 * @param page.resource   what the access is for; undefined where only the identity is asked for
 * @param page.wasRefused was a user name and password just refused?
 */
export function loginPage(page: {
  readonly action: string
  readonly clientName: string
  readonly resource: string | undefined
  readonly wasRefused: boolean
}): string {
  return layout(
    'Sign in',
    `<p><strong>${text(page.clientName)}</strong> asks you to sign in${page.resource === undefined ? '' : ` for<br><code>${text(page.resource)}</code>`}</p>
    ${page.wasRefused ? '<p class="refused" role="alert">The user name or password is not right.</p>' : ''}
    <form method="post" action="${text(page.action)}">
      <label>User name<input name="user" autocomplete="username" autocapitalize="none" required autofocus></label>
      <label>Password<input name="password" type="password" autocomplete="current-password" required></label>
      <button>Sign in</button>
    </form>
    <p class="hint">For a demonstration: ${people.map((person) => `<b>${text(person.id)}</b>`).join(', ')}; the password is <b>${text(demoPassword)}</b>.</p>`,
  )
}

/**
 * The consent page, shown for clients that registered themselves.
 *
 * @param page.sendsTo the host the browser goes to afterwards: the one thing about such a client that is not its own claim
 */
export function consentPage(page: {
  readonly action: string
  readonly clientName: string
  readonly sendsTo: string
  readonly personName: string
  readonly scopes: readonly string[]
  readonly resources: readonly string[]
}): string {
  const list = (items: readonly string[]): string => items.map((item) => `<li><code>${text(item)}</code></li>`).join('')
  return layout(
    'Allow access?',
    `<p>${text(page.personName)}, <strong>${text(page.clientName)}</strong> wants to act for you. It runs at <code>${text(page.sendsTo)}</code> and registered itself.</p>
    ${page.resources.length === 0 ? '' : `<p>At</p><ul>${list(page.resources)}</ul>`}
    <p>With</p><ul>${list(page.scopes)}</ul>
    <form method="post" action="${text(page.action)}">
      <button name="decision" value="allow">Allow</button>
      <button name="decision" value="deny" class="quiet">Deny</button>
    </form>`,
  )
}

/** What somebody sees when a login cannot go on. */
export function errorPage(message: string): string {
  return layout('This did not work', `<p>${text(message)}</p><p class="hint">Start again from your application.</p>`)
}

/** Text as HTML text or attribute value. */
function text(raw: string): string {
  return raw
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;')
}

function layout(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>${text(title)}</title>
  <style>
    :root { color-scheme: light dark; --ink: #1c2430; --soft: #5b6675; --card: #fff; --line: #d5dbe3; --go: #0b5fd3; --page: #eef1f5; --no: #b3261e }
    @media (prefers-color-scheme: dark) { :root { --ink: #e7ebf0; --soft: #9aa6b5; --card: #1b222c; --line: #364150; --go: #4c8ff0; --page: #10151b; --no: #ff8a80 } }
    * { box-sizing: border-box }
    body { margin: 0; min-height: 100vh; display: grid; place-items: center; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, sans-serif }
    main { width: min(25rem, 92vw); margin: 1.5rem 0; padding: 2rem; background: var(--card); border: 1px solid var(--line); border-radius: 14px }
    h1 { margin: 0 0 1rem; font-size: 1.5rem; line-height: 1.2 }
    p { margin: 0 0 1rem; overflow-wrap: anywhere }
    ul { margin: 0 0 1rem; padding-left: 1.2rem; overflow-wrap: anywhere }
    code { font-size: .9em }
    label { display: block; margin-bottom: 1rem; font-weight: 600 }
    input { display: block; width: 100%; margin-top: .3rem; padding: .65rem .75rem; font: inherit; color: inherit; background: var(--page); border: 1px solid var(--line); border-radius: 8px }
    button { width: 100%; margin-top: .5rem; padding: .7rem; font: inherit; font-weight: 600; color: #fff; background: var(--go); border: 1px solid var(--go); border-radius: 8px; cursor: pointer }
    button.quiet { color: inherit; background: none; border-color: var(--line) }
    input:focus-visible, button:focus-visible { outline: 3px solid var(--go); outline-offset: 2px }
    .refused { color: var(--no); font-weight: 600 }
    .hint { margin: 1.25rem 0 0; color: var(--soft); font-size: .875rem }
  </style>
</head>
<body><main><h1>${text(title)}</h1>${body}</main></body>
</html>
`
}
