export const Name = 'unmakeable'
export const Version = '1.0.0'
export const Priority = 10
export const Schema = []

export class Plugin {
  constructor() {
    throw new Error('this configuration cannot work')
  }
  access(): Promise<void> {
    return Promise.resolve()
  }
}
