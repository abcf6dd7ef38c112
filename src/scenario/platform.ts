/**
 * The few things of the platform that links need and that browsers and Node.js offer alike, typed here because this
 * storey knows neither the DOM nor Node.js.
 */
interface Reader {
  read(): Promise<{ done: false; value: Uint8Array } | { done: true; value?: undefined }>;
  cancel(): Promise<void>;
}

interface Writer {
  write(bytes: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

interface Transform {
  readonly readable: { getReader(): Reader };
  readonly writable: { getWriter(): Writer };
}

interface Platform {
  readonly TextEncoder: new () => { encode(text: string): Uint8Array };
  readonly TextDecoder: new () => { decode(bytes: Uint8Array): string };
  readonly CompressionStream: new (format: 'deflate-raw') => Transform;
  readonly DecompressionStream: new (format: 'deflate-raw') => Transform;
  readonly btoa: (binary: string) => string;
  readonly atob: (base64: string) => string;
}

const platform = globalThis as unknown as Platform;

export const encodeUtf8 = (text: string): Uint8Array => new platform.TextEncoder().encode(text);
export const decodeUtf8 = (bytes: Uint8Array): string => new platform.TextDecoder().decode(bytes);

export interface Transformed {
  readonly bytes: Uint8Array;
  /** Set when not everything came out. */
  readonly trouble?: 'damaged' | 'too large';
}

export const deflate = (bytes: Uint8Array): Promise<Transformed> =>
  transformed(new platform.CompressionStream('deflate-raw'), bytes, Infinity);

/** As far as it can be inflated, at most a little over `bound` bytes. */
export const inflate = (bytes: Uint8Array, bound: number): Promise<Transformed> =>
  transformed(new platform.DecompressionStream('deflate-raw'), bytes, bound);

async function transformed(stream: Transform, bytes: Uint8Array, bound: number): Promise<Transformed> {
  const writer = stream.writable.getWriter();
  // What goes wrong while writing arrives at the reader too.
  writer
    .write(bytes)
    .then(() => writer.close())
    .catch(() => undefined);
  const reader = stream.readable.getReader();
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return { bytes: joined(chunks, size) };
      chunks.push(value);
      size += value.length;
      if (size <= bound) continue;
      reader.cancel().catch(() => undefined);
      return { bytes: joined(chunks, size), trouble: 'too large' };
    }
  } catch {
    return { bytes: joined(chunks, size), trouble: 'damaged' };
  }
}

function joined(chunks: readonly Uint8Array[], size: number): Uint8Array {
  const whole = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}

export function toBase64Url(bytes: Uint8Array): string {
  let binary = '';
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return platform.btoa(binary).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
}

/** Whatever of the text is base64url; one digit left over carries nothing. */
export function fromBase64Url(text: string): Uint8Array {
  const plain = text
    .replaceAll('-', '+')
    .replaceAll('_', '/')
    .replaceAll(/[^A-Za-z0-9+/]/g, '');
  const binary = platform.atob(plain.length % 4 === 1 ? plain.slice(0, -1) : plain);
  return Uint8Array.from(binary, (character) => character.charCodeAt(0));
}
