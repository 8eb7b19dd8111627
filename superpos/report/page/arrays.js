// The arrays of a page, which lie compressed in script elements and are read when they are needed.

/** @type {Palette} */
const PALETTE = JSON.parse(byId("palette").textContent ?? "");

/** @type {(text: string) => Uint8Array<ArrayBuffer>} */
const bytesOf = (text) => {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
  return bytes;
};

/**
 * The bytes of a compressed script element, which is removed: they are not needed twice.
 * @type {(id: string) => Promise<ArrayBuffer>}
 */
async function inflate(id) {
  const element = byId(id);
  try {
    const stream = new Blob([bytesOf(element.textContent)])
      .stream()
      .pipeThrough(new DecompressionStream("gzip"));
    const bytes = await new Response(stream).arrayBuffer();
    element.remove();
    return bytes;
  } catch (cause) {
    const { message } = /** @type {Error} */ (cause);
    throw new Error(`this file is damaged, or the browser is older than 2023 (${message})`, {
      cause,
    });
  }
}

// Float32 of every float16, by its bits.
const HALVES = Float32Array.from({ length: 65536 }, (_, bits) => {
  const sign = bits >> 15 ? -1 : 1;
  const power = (bits >> 10) & 31;
  const digits = bits & 1023;
  if (power === 31) return digits ? NaN : sign * Infinity;
  return power ? sign * 2 ** (power - 15) * (1 + digits / 1024) : (sign * 2 ** -14 * digits) / 1024;
});

/** @type {Record<Stored["type"], (buffer: ArrayBuffer) => Numbers>} */
const READ = {
  f2: (buffer) => new Uint16Array(buffer), // made to numbers where they are needed
  f4: (buffer) => new Float32Array(buffer),
  u1: (buffer) => new Uint8Array(buffer),
  u2: (buffer) => new Uint16Array(buffer),
  u4: (buffer) => new Uint32Array(buffer),
};
const read = new Map();

/**
 * An array as it is stored.
 * @type {(array: Stored) => Promise<Numbers>}
 */
function stored({ array, type }) {
  if (!read.has(array)) read.set(array, inflate(`array-${array}`).then(READ[type]));
  return read.get(array);
}

/**
 * Values of an array, all or from one place to another.
 * @type {(array: Stored, from?: number, to?: number) => Promise<Numbers>}
 */
async function valuesOf(array, from = 0, to = undefined) {
  const values = (await stored(array)).subarray(from, to);
  return array.type === "f2" ? Float32Array.from(values, (bits) => HALVES[bits]) : values;
}
