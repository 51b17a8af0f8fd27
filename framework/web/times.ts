// Times as people read them; the zone always stands there. Pure.

export type Zone = "UTC" | "local";

const two = (number: number): string => String(Math.abs(Math.trunc(number))).padStart(2, "0");

/** 14:02:11 UTC; with the date where it is another day than that of `now`. Seconds since the epoch; 0: nobody knows. */
export function timeOf(at: number, zone: Zone, now: number): string {
  if (!(at > 0)) return "nobody knows when";
  const [date, today] = [partsOf(at, zone), partsOf(now, zone)];
  const day = date.slice(0, 10) === today.slice(0, 10) ? "" : `${date.slice(0, 10)} `;
  return `${day}${date.slice(11, 19)} ${zoneOf(at, zone)}`;
}

function partsOf(at: number, zone: Zone): string {
  const shift = zone === "UTC" ? 0 : new Date(at * 1000).getTimezoneOffset() * 60;
  return new Date((at - shift) * 1000).toISOString();
}

/** UTC, or how far local time is from it: +01:00. */
export function zoneOf(at: number, zone: Zone): string {
  if (zone === "UTC") return "UTC";
  const minutes = -new Date(at * 1000).getTimezoneOffset();
  return `${minutes < 0 ? "-" : "+"}${two(minutes / 60)}:${two(minutes % 60)}`;
}

/** 3 s, 4 min, 2 h 10 min, 3 d 4 h. */
export function lengthOf(seconds: number): string {
  const s = Math.max(0, Math.floor(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  const minutes = Math.floor(s / 60) % 60;
  if (s < 86400) return `${Math.floor(s / 3600)} h${minutes ? ` ${minutes} min` : ""}`;
  const hours = Math.floor(s / 3600) % 24;
  return `${Math.floor(s / 86400)} d${hours ? ` ${hours} h` : ""}`;
}
