// XML in the manner of the EC2 query protocol: every list is an element with <item> children.

export type XmlValue = string | number | boolean | undefined | readonly XmlValue[] | XmlElements
export interface XmlElements {
  readonly [name: string]: XmlValue
}

const namespace = 'http://ec2.amazonaws.com/doc/2016-11-15/'
const declaration = '<?xml version="1.0" encoding="UTF-8"?>\n'

export function answerDocument(action: string, requestId: string, body: XmlElements): string {
  return `${declaration}<${action}Response xmlns="${namespace}">${content({ requestId, ...body })}</${action}Response>`
}

/** EC2 spells RequestID differently here. */
export function errorDocument(code: string, message: string, requestId: string): string {
  const body = content({ Errors: { Error: { Code: code, Message: message } }, RequestID: requestId })
  return `${declaration}<Response>${body}</Response>`
}

function content(value: Exclude<XmlValue, undefined>): string {
  if (isList(value)) return value.map((item) => element('item', item)).join('')
  if (typeof value !== 'object') return escaped(String(value))
  return Object.entries(value)
    .map(([name, child]) => element(name, child))
    .join('')
}

function element(name: string, value: XmlValue): string {
  return value === undefined ? '' : `<${name}>${content(value)}</${name}>`
}

function isList(value: XmlValue): value is readonly XmlValue[] {
  return Array.isArray(value)
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}
