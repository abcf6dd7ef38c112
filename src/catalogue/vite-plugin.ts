/**
 * Makes the catalogue's indices, of scenarios and of recordings, out of their files: served in development, written into
 * the build.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import type { Plugin } from 'vite';
import type { CatalogueEntry, RecordedEntry } from './entry.ts';

const FOLDER = fileURLToPath(new URL('../../public/scenarios/', import.meta.url));

interface Chapter {
  readonly title: string;
  readonly scenarios: readonly string[];
}

/** The scenarios in the order of their chapters. A file without a chapter, or a chapter without its file, is an error. */
export function readIndex(): readonly CatalogueEntry[] {
  const files = readdirSync(FOLDER).filter((file) => file.endsWith('.mmu'));
  const ids = new Set(files.map((file) => file.slice(0, -'.mmu'.length)));
  const chapters = JSON.parse(readFileSync(`${FOLDER}chapters.json`, 'utf8')) as readonly Chapter[];
  const entries = chapters.flatMap(({ title, scenarios }) => scenarios.map((id) => readEntry(id, title)));
  const homeless = [...ids].filter((id) => !entries.some((entry) => entry.id === id));
  if (homeless.length > 0) throw new Error(`chapters.json names no chapter for ${homeless.join(', ')}`);
  return entries;
}

function readEntry(id: string, chapter: string): CatalogueEntry {
  const text = readFileSync(`${FOLDER}${id}.mmu`, 'utf8');
  const find = (pattern: RegExp): string | undefined => pattern.exec(text)?.[1];
  const [title, about] = [find(/^title (.*)$/m), find(/^about "(.*)"$/m)];
  const minutes = Number(find(/^minutes ([0-9]+)$/m));
  if (title === undefined || about === undefined || !(minutes > 0))
    throw new Error(`${id}.mmu needs title, about and minutes`);
  const words = new Set(text.match(/[a-z]+_[a-z_]+|[a-z-]+=[a-z0-9-]+/g));
  return { id, title, chapter, about, minutes, words: [...words].join(' ') };
}

const RECORDINGS = fileURLToPath(new URL('../../public/kvm-traces/', import.meta.url));
/** The newest first. */
const KERNELS = ['6.12', '6.1'];

/** What `scenario.json` says of a recording. */
interface RecordedInput {
  readonly title: string;
  readonly about: string;
  readonly module_params: Readonly<Record<string, string>>;
  readonly steps: readonly unknown[];
}

/** The recordings under shadow paging, those made by hand first. Each has to be the same program under every kernel. */
export function readRecordings(): readonly RecordedEntry[] {
  const found = new Map<string, RecordedEntry>();
  for (const kernel of KERNELS)
    for (const name of readdirSync(`${RECORDINGS}${kernel}`)) {
      const packed = readFileSync(`${RECORDINGS}${kernel}/${name}/scenario.json.gz`);
      const { title, about, steps, module_params } = JSON.parse(
        gunzipSync(packed).toString(),
      ) as RecordedInput;
      if (module_params['npt'] !== 'N') continue;
      const known = found.get(name);
      if (known !== undefined && (known.title !== title || known.steps !== steps.length))
        throw new Error(`${name} is another program under ${kernel}`);
      const kernels = [...(known?.kernels ?? []), kernel];
      found.set(name, { name, title, about, steps: steps.length, random: name.startsWith('rnd-'), kernels });
    }
  return [...found.values()].sort(
    (a, b) => Number(a.random) - Number(b.random) || a.name.localeCompare(b.name, 'en', { numeric: true }),
  );
}

const INDICES = {
  'scenarios/index.json': readIndex,
  'kvm-traces/index.json': readRecordings,
} as const;

export function catalogueIndex(): Plugin {
  return {
    name: 'catalogue-index',
    configureServer(server) {
      server.middlewares.use((request, response, next) => {
        const found = Object.entries(INDICES).find(([file]) => request.url?.endsWith(`/${file}`) === true);
        if (found === undefined) {
          next();
          return;
        }
        response.setHeader('Content-Type', 'application/json');
        response.end(JSON.stringify(found[1]()));
      });
    },
    generateBundle() {
      for (const [fileName, make] of Object.entries(INDICES))
        this.emitFile({ type: 'asset', fileName, source: JSON.stringify(make()) });
    },
  };
}
