// Numbers as text: the same digits and units as in the reports.

export const MISSING = "–";
const MINUS = "−";
const known = (value) => typeof value === "number" && Number.isFinite(value);
const signed = (text) => {
  const bare = /^[+\-0., %]*$/.test(text) ? text.replace(/^[+-]+/, "") : text;
  return bare.startsWith("-") ? MINUS + bare.slice(1) : bare;
};
const grouped = (value, digits) =>
  value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });

/** `0.652`. */
export const decimal = (value, digits = 3) => (known(value) ? signed(value.toFixed(digits)) : MISSING);

/** `5,989`. */
export const count = (value) => (known(value) ? grouped(value, 0) : MISSING);

/** A difference in points of .01 with its sign, `+4.3`. */
export const points = (value) => {
  if (!known(value)) return MISSING;
  return signed((value < 0 ? "" : "+") + (100 * value).toFixed(1));
};

/** `[+3.2, +5.5]` in points; an end that is not known is infinite. */
export const interval = ([low, high]) =>
  `[${known(low) ? points(low) : `${MINUS}∞`}, ${known(high) ? points(high) : "+∞"}]`;

/** `84 %`; never rounds to 0 or 100 what is neither. */
export const percent = (share) => {
  if (!known(share)) return MISSING;
  if ((share > 0 && share < 0.01) || (share > 0.99 && share < 1)) {
    return `${(Math.floor(1000 * share) / 10).toFixed(1)} %`;
  }
  return signed(`${(100 * share).toFixed(0)} %`);
};

/** So many significant digits, without an exponent unless it is extreme. */
export const significant = (value, digits = 3) => {
  if (!known(value)) return MISSING;
  if (value === 0) return "0";
  const size = Math.floor(Math.log10(Math.abs(Number(value.toPrecision(digits)))));
  if (size < -6 || size > 9) return signed(value.toExponential(digits - 1));
  return signed(grouped(value, Math.max(0, digits - 1 - size)));
};

/** `0.0123 USD`. */
export const usd = (value) => (known(value) ? `${significant(value)} USD` : MISSING);

/** USD per request as USD per 1,000 requests. */
export const perThousand = (value) => significant(known(value) ? 1000 * value : null);

/** Without trailing zeros, `0.05`. */
export const plain = (value) => {
  const text = significant(value, 3);
  return text.includes(".") && !text.includes("e") ? text.replace(/\.?0+$/, "") : text;
};

/** `340 ms`, `2.41 s`, as far as it is known. */
export const seconds = (value) => {
  if (!known(value)) return MISSING;
  if (value === 0) return "0 s";
  return value < 1 ? `${plain(1000 * value)} ms` : `${plain(value)} s`;
};

/** `1 request`, `12 requests`. */
export const many = (value, one, more = `${one}s`) => `${count(value)} ${value === 1 ? one : more}`;

const two = (value) => String(value).padStart(2, "0");

/** `14:03:09`, with the day where it is not today. */
export const clock = (at, now = Date.now() / 1000) => {
  if (!known(at)) return MISSING;
  const day = new Date(1000 * at);
  const time = `${two(day.getHours())}:${two(day.getMinutes())}:${two(day.getSeconds())}`;
  const same = day.toDateString() === new Date(1000 * now).toDateString();
  return same ? time : `${day.getFullYear()}-${two(day.getMonth() + 1)}-${two(day.getDate())} ${time}`;
};

/** A message of the gateway as a sentence. */
export const sentence = (text) => {
  const told = text.trim();
  return told.charAt(0).toUpperCase() + told.slice(1) + (/[.!?]$/.test(told) ? "" : ".");
};
