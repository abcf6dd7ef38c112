/** Recorded guest programs of real kernels: their files, fetched when one is opened. */

/** `linux-6-12-shadow64-cow`: the kernel, and the folder of the scenario. */
const ID = /^linux-(6)-(12|1)-([a-z0-9-]+)$/;

export const recordingId = (kernel: string, name: string): string =>
  `linux-${kernel.replace('.', '-')}-${name}`;

export interface RecordingFiles {
  readonly scenario: string;
  readonly trace: string;
}

/** Whether an id of the catalogue has the form of a recording's. */
export const isRecording = (id: string): boolean => ID.test(id);

function recordingFolder(id: string): string | undefined {
  const [, major, minor, name] = ID.exec(id) ?? [];
  return name === undefined ? undefined : `kvm-traces/${String(major)}.${String(minor)}/${name}`;
}

/** Undefined where there is no such recording. */
export async function loadRecording(id: string): Promise<RecordingFiles | undefined> {
  const folder = recordingFolder(id);
  if (folder === undefined) return undefined;
  const [scenario, trace] = await Promise.all([
    fetchPacked(`${folder}/scenario.json.gz`),
    fetchPacked(`${folder}/trace.txt.gz`),
  ]);
  return scenario === undefined || trace === undefined ? undefined : { scenario, trace };
}

async function fetchPacked(file: string): Promise<string | undefined> {
  const response = await fetch(new URL(file, document.baseURI).href);
  if (response.status === 404) return undefined;
  if (!response.ok) throw new Error(`${file} could not be loaded (${String(response.status)})`);
  const text = await unpacked(await response.arrayBuffer());
  // A server that answers every address with the page itself has no such file.
  return text.trimStart().startsWith('<') ? undefined : text;
}

/** A server may have unpacked it already, and told the browser nothing. */
async function unpacked(buffer: ArrayBuffer): Promise<string> {
  const [first, second] = new Uint8Array(buffer);
  if (first !== 0x1f || second !== 0x8b) return new TextDecoder().decode(buffer);
  return new Response(new Blob([buffer]).stream().pipeThrough(new DecompressionStream('gzip'))).text();
}
