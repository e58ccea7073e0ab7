/**
 * Exact decimal arithmetic for prices, quantities and money, on bigint with eight decimal places.
 *
 * Always holds here: no binary float takes part. The scale is the server's own (price_e8, qty_e8), so every
 * number it sends fits exactly. Must not: decide what is sent. An order carries the text the trader typed.
 */

export type Fixed = bigint;

export const PLACES = 8;
export const ONE: Fixed = 10n ** BigInt(PLACES);

const DECIMAL = /^([+-]?)(\d*)(?:\.(\d*))?$/;

/** "10.25" -> 1025000000n. Null for anything that is not a plain decimal. Digits past the eighth are rounded. */
export function parse(text: string | null | undefined): Fixed | null {
  const match = DECIMAL.exec((text ?? "").trim());
  if (!match) return null;
  const [, sign, whole = "", part = ""] = match;
  if (whole === "" && part === "") return null;
  const kept = BigInt((whole || "0") + part.slice(0, PLACES).padEnd(PLACES, "0"));
  const magnitude = (part[PLACES] ?? "0") >= "5" ? kept + 1n : kept;
  return sign === "-" ? -magnitude : magnitude;
}

/** A JSON number of the price feed: its shortest text is the decimal that was sent, up to 15 digits. */
export function fromNumber(value: number): Fixed | null {
  if (!Number.isFinite(value)) return null;
  const text = String(value);
  return parse(text.includes("e") ? value.toFixed(PLACES) : text);
}

/** Rounded half away from zero to eight places. */
export function multiply(a: Fixed, b: Fixed): Fixed {
  return divideRounded(a * b, ONE);
}

/** Plain text with at least `placesMin` and at most `placesMax` decimals: (1025000000n, 2, 4) -> "10.25". */
export function toText(value: Fixed, placesMin = 0, placesMax = PLACES): string {
  const rounded = divideRounded(value, 10n ** BigInt(PLACES - placesMax));
  const digits = abs(rounded).toString().padStart(placesMax + 1, "0");
  const whole = digits.slice(0, digits.length - placesMax);
  let part = digits.slice(digits.length - placesMax);
  while (part.length > placesMin && part.endsWith("0")) part = part.slice(0, -1);
  return (rounded < 0n ? "-" : "") + whole + (part === "" ? "" : `.${part}`);
}

export function abs(value: bigint): bigint {
  return value < 0n ? -value : value;
}

function divideRounded(value: bigint, divisor: bigint): bigint {
  const half = divisor / 2n;
  return value < 0n ? -((-value + half) / divisor) : (value + half) / divisor;
}
