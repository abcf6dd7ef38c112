/** Serves the build on a free port of this machine, for journeys and screenshots. */
import { fileURLToPath } from 'node:url';
import { preview } from 'vite';

export async function serveBuild(): Promise<{ address: string; close: () => Promise<void> }> {
  const root = fileURLToPath(new URL('../', import.meta.url));
  const server = await preview({ root, preview: { host: '127.0.0.1', port: 0 }, logLevel: 'silent' });
  const listening = server.httpServer.address();
  if (listening === null || typeof listening === 'string') throw new Error('the preview server has no port');
  return { address: `http://127.0.0.1:${String(listening.port)}/`, close: () => server.close() };
}
