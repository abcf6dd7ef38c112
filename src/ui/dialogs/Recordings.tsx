/** The catalogue's recorded programs of real kernels: each under both kernels, those made at random last. */
import { useQuery } from '@tanstack/react-query';
import type { RecordedEntry } from '../../catalogue/entry.ts';
import { recordingsQuery } from '../../catalogue/list.ts';
import { recordingId } from '../../catalogue/recordings.ts';
import { catalogueId, set } from '../../store/state.ts';
import { SCENARIOS } from '../strings-later.ts';
import { useApp } from '../use-app.ts';

const WORDS = SCENARIOS.recorded;

/** Whether a text has every wanted word. */
export const contains = (text: string, wanted: string): boolean =>
  wanted
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.toLowerCase().includes(word));

const matches = ({ title, about, name, kernels }: RecordedEntry, wanted: string): boolean =>
  contains(`${title} ${about} ${name} ${WORDS.title} ${kernels.map(WORDS.kernel).join(' ')}`, wanted);

/** The recordings that fit what is searched for. */
export function useRecordings(wanted: string): {
  readonly found: readonly RecordedEntry[];
  readonly error: Error | null;
} {
  const { data, error } = useQuery(recordingsQuery);
  return { found: (data ?? []).filter((entry) => matches(entry, wanted)), error };
}

export function Recordings({ found }: { found: readonly RecordedEntry[] }): React.JSX.Element {
  return (
    <>
      <Group title={WORDS.title} about={WORDS.about} entries={found.filter(({ random }) => !random)} />
      <Group title={WORDS.random} entries={found.filter(({ random }) => random)} />
    </>
  );
}

function Group(of: {
  title: string;
  about?: string;
  entries: readonly RecordedEntry[];
}): React.JSX.Element | null {
  if (of.entries.length === 0) return null;
  return (
    <section>
      <h3>{of.title}</h3>
      {of.about !== undefined && <p className="quiet">{of.about}</p>}
      <ul className="cards recorded">
        {of.entries.map((entry) => (
          <Card key={entry.name} entry={entry} />
        ))}
      </ul>
    </section>
  );
}

function Card({ entry }: { entry: RecordedEntry }): React.JSX.Element {
  const open = useApp(catalogueId);
  return (
    <li>
      <b>{entry.title}</b>
      <span>{entry.about}</span>
      <p>
        <small>{WORDS.steps(entry.steps)}</small>
        {entry.kernels.map((kernel) => {
          const id = recordingId(kernel, entry.name);
          return (
            <a
              key={kernel}
              href={`#/s/${id}`}
              aria-label={`${entry.title}, ${WORDS.kernel(kernel)}`}
              aria-current={open === id ? 'page' : undefined}
              onClick={() => {
                set({ dialog: undefined });
              }}
            >
              {WORDS.kernel(kernel)}
            </a>
          );
        })}
      </p>
    </li>
  );
}
