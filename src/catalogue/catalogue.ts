/** The catalogue: what is fetched from the app's own files, and nothing else. */
import { queryOptions } from '@tanstack/react-query';

export interface CatalogueEntry {
  readonly id: string;
  readonly title: string;
  readonly chapter: string;
  /** What one will understand. */
  readonly about: string;
  readonly minutes: number;
  /** Calls and settings that its text names, for the search. */
  readonly words: string;
}

/** The catalogue's own files stand beside the page. */
const address = (file: string): string => new URL(`scenarios/${file}`, document.baseURI).href;

async function fetchText(file: string): Promise<string> {
  const response = await fetch(address(file));
  if (!response.ok) throw new Error(`${file} could not be loaded (${String(response.status)})`);
  return response.text();
}

export const catalogueQuery = queryOptions({
  queryKey: ['catalogue'],
  queryFn: async (): Promise<readonly CatalogueEntry[]> =>
    JSON.parse(await fetchText('index.json')) as readonly CatalogueEntry[],
  staleTime: Infinity,
  retry: 1,
});

export const scenarioQuery = (id: string) =>
  queryOptions({
    queryKey: ['scenario', id],
    queryFn: () => fetchText(`${id}.mmu`),
    staleTime: Infinity,
    retry: 1,
  });
