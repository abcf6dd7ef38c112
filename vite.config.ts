import { defineConfig } from 'vite';
import react from '@vitejs/plugin-react';
import { catalogueIndex } from './src/catalogue/vite-plugin.ts';

const POLICY =
  "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'self'";

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
  build: { target: 'es2022' },
  test: {
    environment: 'node',
    include: ['src/**/*.test.ts'],
    setupFiles: ['src/testing/load-engines.ts'],
    testTimeout: 60_000,
  },
} as Parameters<typeof defineConfig>[0]);
