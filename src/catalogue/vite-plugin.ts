// Serves the catalogue's index in development and emits it at build. Runs in Node.js: only vite.config.ts imports it.

import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Plugin } from 'vite';
import { indexOfScenarios } from './scenario-index.ts';

const extension = '.mmu';
const indexPath = 'scenarios/index.json';

export function scenarioIndex(): Plugin {
  let folder = '';
  return {
    name: 'mmuscope:scenario-index',
    configResolved(config) {
      folder = join(config.publicDir, 'scenarios');
    },
    configureServer(server) {
      server.middlewares.use(`/${indexPath}`, (_request, response, next) => {
        indexText(folder).then((text) => {
          response.setHeader('Content-Type', 'application/json');
          response.end(text);
        }, next);
      });
    },
    async generateBundle() {
      this.emitFile({ type: 'asset', fileName: indexPath, source: await indexText(folder) });
    },
  };
}

async function indexText(folder: string): Promise<string> {
  const texts = new Map<string, string>();
  for (const name of await scenarioFiles(folder)) {
    texts.set(basename(name, extension), await readFile(join(folder, name), 'utf8'));
  }
  return `${JSON.stringify(indexOfScenarios(texts), null, 1)}\n`;
}

async function scenarioFiles(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).filter((name) => name.endsWith(extension));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
