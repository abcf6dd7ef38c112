/** The list of all scenarios, for the page that shows it. */
import { queryOptions } from '@tanstack/react-query';
import { fetchText } from './catalogue.ts';
import type { CatalogueEntry, RecordedEntry } from './entry.ts';

export const catalogueQuery = queryOptions({
  queryKey: ['catalogue'],
  queryFn: async (): Promise<readonly CatalogueEntry[]> =>
    JSON.parse(await fetchText('index.json')) as readonly CatalogueEntry[],
  staleTime: Infinity,
  retry: 1,
});

export const recordingsQuery = queryOptions({
  queryKey: ['recordings'],
  queryFn: async (): Promise<readonly RecordedEntry[]> =>
    JSON.parse(await fetchText('../kvm-traces/index.json')) as readonly RecordedEntry[],
  staleTime: Infinity,
  retry: 1,
});
