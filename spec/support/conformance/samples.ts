/** The smallest image and sound the fixtures send, in base64. */
import type { EmbeddedResource } from '@modelcontextprotocol/server'

/** One red pixel. */
export const png = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=='

/** A WAV of no samples. */
export const wav = 'UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA='

export const embedded = (uri: string, mimeType: string, content: string): EmbeddedResource => ({
  type: 'resource',
  resource: { uri, mimeType, text: content },
})
