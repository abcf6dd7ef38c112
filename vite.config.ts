import react from '@vitejs/plugin-react';
import type { Plugin } from 'vite';
import { defineConfig } from 'vitest/config';
import { scenarioIndex } from './src/catalogue/vite-plugin.ts';

export default defineConfig(({ mode }) => {
  const soaking = mode === 'soak';
  return {
    // Relative addresses: the built page works from any folder of any static server.
    base: './',
    plugins: [react(), scenarioIndex(), contentSecurityPolicy()],
    build: {
      target: 'es2022',
      modulePreload: { polyfill: false },
    },
    test: {
      environment: 'node',
      include: soaking ? ['src/**/*.prop.test.ts'] : ['src/**/*.test.ts', 'src/**/*.test.tsx'],
      // Property tests read SOAK to decide how many runs they make.
      env: soaking ? { SOAK: '1' } : {},
      testTimeout: soaking ? 600_000 : 30_000,
    },
  };
});

/** The built page may load nothing but its own files. The development server needs inline scripts and is left alone. */
function contentSecurityPolicy(): Plugin {
  const policy = [
    "default-src 'none'",
    "script-src 'self'",
    "worker-src 'self'",
    "connect-src 'self'",
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data: blob:",
    "font-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ');
  return {
    name: 'mmuscope:content-security-policy',
    apply: 'build',
    transformIndexHtml: () => [
      {
        tag: 'meta',
        attrs: { 'http-equiv': 'Content-Security-Policy', content: policy },
        injectTo: 'head-prepend',
      },
    ],
  };
}
