export const Name = 'throws'
export const Version = '1.0.0'
export const Priority = 10
export const Schema = []

export class Plugin {
  access(): Promise<void> {
    return Promise.reject(new Error('a defect'))
  }
  log(): Promise<void> {
    throw new Error('a defect in the log phase')
  }
}
