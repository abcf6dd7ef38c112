/** Makes the catalogue's index out of the scenario files: served in development, written into the build. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Plugin } from 'vite';

const FOLDER = fileURLToPath(new URL('../../public/scenarios/', import.meta.url));

interface Entry {
  readonly id: string;
  readonly title: string;
}

/** The scenarios, by a line `# order: <n>` and then by id. */
export function readIndex(): readonly Entry[] {
  const files = readdirSync(FOLDER).filter((file) => file.endsWith('.mmu'));
  return files
    .map((file) => {
      const text = readFileSync(`${FOLDER}${file}`, 'utf8');
      const id = file.slice(0, -'.mmu'.length);
      const order = Number(/^# order: ([0-9]+)/m.exec(text)?.[1] ?? '999');
      return { id, title: /^title (.*)$/m.exec(text)?.[1] ?? id, order };
    })
    .sort((a, b) => a.order - b.order || a.id.localeCompare(b.id))
    .map(({ id, title }) => ({ id, title }));
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
