/** The catalogue as a page: what one will understand, how long it takes, search; and the texts of one's own. */
import { useState } from 'react';
import { QueryClient, QueryClientProvider, useQuery } from '@tanstack/react-query';
import type { CatalogueEntry } from '../../catalogue/entry.ts';
import { catalogueQuery } from '../../catalogue/list.ts';
import { openScenario } from '../../store/document.ts';
import { deleteDraft, listDrafts, titleOf, type Draft } from '../../store/drafts.ts';
import { catalogueId, set } from '../../store/state.ts';
import { contains, Recordings, useRecordings } from './Recordings.tsx';
import { openDraft } from '../open-link.ts';
import { SCENARIOS } from '../strings-later.ts';
import { Loading, useApp } from '../use-app.ts';
import './dialogs.css';

const client = new QueryClient();

export default function Scenarios(): React.JSX.Element {
  return (
    <QueryClientProvider client={client}>
      <Page />
    </QueryClientProvider>
  );
}

function Page(): React.JSX.Element {
  const { data, error } = useQuery(catalogueQuery);
  const [wanted, setWanted] = useState('');
  const found = (data ?? []).filter((entry) => matches(entry, wanted));
  const recorded = useRecordings(wanted);
  const trouble = error ?? recorded.error;
  const chapters = [...new Set(found.map((entry) => entry.chapter))];
  return (
    <div className="scenarios">
      <div className="search">
        <input
          type="search"
          value={wanted}
          aria-label={SCENARIOS.search}
          placeholder={SCENARIOS.search}
          onChange={(event) => {
            setWanted(event.target.value);
          }}
        />
        <button
          type="button"
          onClick={() => {
            set({ dialog: undefined, editing: true, leftOpen: true });
            void openScenario({ text: SCENARIOS.template, settings: {} });
          }}
        >
          {SCENARIOS.fresh}
        </button>
      </div>
      {data === undefined && error === null && <Loading />}
      <p role="status" className="quiet">
        {trouble !== null ? trouble.message : SCENARIOS.found(found.length + recorded.found.length)}
      </p>
      {chapters.map((chapter) => (
        <section key={chapter}>
          <h3>{chapter}</h3>
          <ul className="cards">
            {found
              .filter((entry) => entry.chapter === chapter)
              .map((entry) => (
                <Card key={entry.id} entry={entry} />
              ))}
          </ul>
        </section>
      ))}
      <Recordings found={recorded.found} />
      <Drafts />
    </div>
  );
}

const matches = (entry: CatalogueEntry, wanted: string): boolean =>
  contains(`${entry.title} ${entry.about} ${entry.id} ${entry.words}`, wanted);

function Card({ entry }: { entry: CatalogueEntry }): React.JSX.Element {
  const open = useApp((state) => catalogueId(state) === entry.id);
  return (
    <li>
      <a
        href={`#/s/${entry.id}`}
        aria-current={open ? 'page' : undefined}
        onClick={() => {
          set({ dialog: undefined });
        }}
      >
        <b>{entry.title}</b>
        <span>{entry.about}</span>
        <small>{SCENARIOS.minutes(entry.minutes)}</small>
      </a>
    </li>
  );
}

function Drafts(): React.JSX.Element | null {
  const [drafts, setDrafts] = useState(listDrafts);
  if (drafts.length === 0) return null;
  const open = (draft: Draft): void => {
    set({ dialog: undefined, linkTrouble: [] });
    void openDraft(draft);
  };
  return (
    <section>
      <h3>{SCENARIOS.drafts}</h3>
      <p className="quiet">{SCENARIOS.draftsBound}</p>
      <ul className="drafts">
        {drafts.map((draft) => (
          <li key={draft.id}>
            <button
              type="button"
              className="inline"
              onClick={() => {
                open(draft);
              }}
            >
              {titleOf(draft.text)}
            </button>
            <small>{`${new Date(draft.saved).toLocaleString()}${draft.from === undefined ? '' : `, ${SCENARIOS.from} ${draft.from}`}`}</small>
            <button
              type="button"
              aria-label={`${SCENARIOS.delete} ${titleOf(draft.text)}`}
              onClick={() => {
                deleteDraft(draft.id);
                setDrafts(listDrafts());
              }}
            >
              {SCENARIOS.delete}
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}
