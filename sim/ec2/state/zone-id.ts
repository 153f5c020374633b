// The id of an Availability Zone: eun1-az1 for eu-north-1a (AWS RAM user guide, "Availability Zone IDs"). Which letter is which id
// differs between real accounts; here a is 1.

/** @throws Error for what is no zone of a region, such as a local zone. */
export function zoneId(zone: string): string {
  const [, area, directions = '', number, letter] = /^([a-z]+)-([a-z-]+)-(\d)([a-z])$/.exec(zone) ?? []
  if (letter === undefined) throw new Error(`${zone} is no Availability Zone`)
  const initials = (directions.match(/north|south|east|west|central|gov/g) ?? []).map((word) => word[0]).join('')
  return `${area}${initials}${number}-az${letter.charCodeAt(0) - 'a'.charCodeAt(0) + 1}`
}
