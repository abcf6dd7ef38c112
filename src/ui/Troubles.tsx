/** What is seldom wrong: a link that is damaged or ends elsewhere, a browser that keeps nothing. */
import { openScenario } from '../store/document.ts';
import { set, store } from '../store/state.ts';
import { STRINGS } from './strings.ts';
import { LINK_TROUBLE } from './strings-later.ts';
import { TRACE } from './trace/words.ts';
import { isNoLongerRecorded, useApp } from './use-app.ts';

export default function Troubles(): React.JSX.Element {
  return (
    <>
      <NoLongerRecorded />
      <LinkTrouble />
      <KeepTrouble />
    </>
  );
}

/** A recorded program was opened, and what runs now is not it. */
function NoLongerRecorded(): React.JSX.Element | null {
  const said = useApp(isNoLongerRecorded);
  if (!said) return null;
  return (
    <div className="banner" role="status">
      <b>{TRACE.changed.title}</b>
      <p>{TRACE.changed.text}</p>
      <button
        type="button"
        onClick={() => {
          const { original } = store.getState();
          if (original !== undefined) void openScenario({ original, text: original.text, settings: {} });
        }}
      >
        {TRACE.changed.back}
      </button>
    </div>
  );
}

function LinkTrouble(): React.JSX.Element | null {
  const sentences = useApp((state) => state.linkTrouble);
  const text = useApp((state) => state.linkText);
  if (sentences.length === 0) return null;
  return (
    <div className="banner" role="alert">
      <b>{LINK_TROUBLE.title}</b>
      {sentences.map((sentence) => (
        <p key={sentence}>{sentence}</p>
      ))}
      {text !== undefined && (
        <details>
          <summary>{LINK_TROUBLE.text}</summary>
          <pre tabIndex={0}>{text}</pre>
          <button
            type="button"
            onClick={() => {
              set({ linkTrouble: [] });
              void openScenario({ text, settings: {} });
            }}
          >
            {LINK_TROUBLE.open}
          </button>
        </details>
      )}
      <button
        type="button"
        onClick={() => {
          set({ linkTrouble: [], linkText: undefined });
        }}
      >
        {STRINGS.close}
      </button>
    </div>
  );
}

/** Said once where the browser keeps no drafts. */
function KeepTrouble(): React.JSX.Element | null {
  const sentence = useApp((state) => state.keepTrouble);
  if (sentence === undefined || sentence === '') return null;
  return (
    <div className="banner" role="alert">
      <p>{sentence}</p>
      <button
        type="button"
        onClick={() => {
          set({ keepTrouble: '' });
        }}
      >
        {STRINGS.close}
      </button>
    </div>
  );
}
