/** Makes the catalogue's index out of the scenario files: served in development, written into the build. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Plugin } from 'vite';
import type { CatalogueEntry } from './entry.ts';

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

export function catalogueIndex(): Plugin {
  return {
    name: 'catalogue-index',
    configureServer(server) {
      server.middlewares.use((request, response, next) => {
        if (request.url?.endsWith('/scenarios/index.json') !== true) {
          next();
          return;
        }
        response.setHeader('Content-Type', 'application/json');
        response.end(JSON.stringify(readIndex()));
      });
    },
    generateBundle() {
      this.emitFile({ type: 'asset', fileName: 'scenarios/index.json', source: JSON.stringify(readIndex()) });
    },
  };
}
