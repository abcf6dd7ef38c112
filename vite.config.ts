import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';
import react from '@vitejs/plugin-react';
import { catalogueIndex } from './src/catalogue/vite-plugin.ts';

const POLICY =
  "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'self'";

interface Modules {
  getModuleInfo(id: string): { readonly importedIds: readonly string[] } | null;
}

let needed: ReadonlySet<string> | undefined;

/** All that the page reaches without a dynamic import: as few files, they compress better than as the many that share. */
function neededAtOnce(modules: Modules): ReadonlySet<string> {
  const found = new Set<string>();
  const follow = (id: string): void => {
    if (found.has(id)) return;
    found.add(id);
    modules.getModuleInfo(id)?.importedIds.forEach(follow);
  };
  follow(ENTRY);
  return found;
}

const ENTRY = fileURLToPath(new URL('src/main.tsx', import.meta.url));

/** The file that a module goes to; what is fetched later is left to the bundler. */
function firstLoad(id: string, modules: Modules): string | null {
  needed ??= neededAtOnce(modules);
  if (!needed.has(id)) return null;
  return id.includes('node_modules') ? 'libraries' : 'app';
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
    // One per cent smaller than the bundler's own.
    minify: 'terser',
    terserOptions: {
      module: true,
      ecma: 2020,
      compress: { passes: 3, keep_fargs: false, pure_getters: true },
    },
    // Lists of what each later part needs would stand in the first load; the browser finds it a moment later by itself.
    modulePreload: false,
    rolldownOptions: { output: { codeSplitting: { groups: [{ name: firstLoad }] } } },
  },
  test: {
    environment: 'node',
    include: ['src/**/*.test.ts'],
    setupFiles: ['src/testing/load-engines.ts'],
    testTimeout: 60_000,
  },
} as Parameters<typeof defineConfig>[0]);
