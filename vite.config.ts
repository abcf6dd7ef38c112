import { defineConfig } from 'vite';
import react from '@vitejs/plugin-react';
import { catalogueIndex } from './src/catalogue/vite-plugin.ts';

const POLICY =
  "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'self'";

interface Modules {
  getModuleInfo(id: string): { readonly isEntry: boolean; readonly importers: readonly string[] } | null;
}

/** Whether the entry reaches a module by static imports alone. */
function isNeededFirst(id: string, modules: Modules, seen = new Set<string>()): boolean {
  if (seen.has(id)) return false;
  seen.add(id);
  const info = modules.getModuleInfo(id);
  if (info === null) return false;
  return info.isEntry || info.importers.some((importer) => isNeededFirst(importer, modules, seen));
}

export default defineConfig({
  base: './',
  plugins: [
    react(),
    catalogueIndex(),
    {
      name: 'content-security-policy',
      apply: 'build',
      transformIndexHtml: () => [
        {
          tag: 'meta',
          attrs: { 'http-equiv': 'Content-Security-Policy', content: POLICY },
          injectTo: 'head-prepend',
        },
      ],
    },
  ],
  build: {
    target: 'es2022',
    rolldownOptions: {
      output: {
        // What the first picture needs is one file: two dozen small ones compress a tenth worse.
        codeSplitting: { groups: [{ name: (id, context) => (isNeededFirst(id, context) ? 'first' : null) }] },
      },
    },
  },
  test: {
    environment: 'node',
    include: ['src/**/*.test.ts'],
    setupFiles: ['src/testing/load-engines.ts'],
    testTimeout: 60_000,
  },
} as Parameters<typeof defineConfig>[0]);
