/**
 * What is seldom wrong: a link that is damaged or ends elsewhere, a browser that keeps nothing, a text with problems, a
 * run that had to stop, a recorded program that is none any more.
 */
import { openScenario } from '../store/document.ts';
import { set, store } from '../store/state.ts';
import { STRINGS } from './strings.ts';
import { TROUBLES } from './strings-later.ts';
import { TRACE } from './trace/words.ts';
import { isNoLongerRecorded, useApp } from './use-app.ts';
import './troubles.css';

export default function Troubles(): React.JSX.Element {
  return (
    <>
      <NoLongerRecorded />
      <LinkTrouble />
      <KeepTrouble />
      <Problems />
      <Stopped />
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
      <b>{TROUBLES.title}</b>
      {sentences.map((sentence) => (
        <p key={sentence}>{sentence}</p>
      ))}
      {text !== undefined && (
        <details>
          <summary>{TROUBLES.text}</summary>
          <pre tabIndex={0}>{text}</pre>
          <button
            type="button"
            onClick={() => {
              set({ linkTrouble: [] });
              void openScenario({ text, settings: {} });
            }}
          >
            {TROUBLES.open}
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

function Problems(): React.JSX.Element | null {
  const problems = useApp((state) => state.problems);
  if (problems.length === 0) return null;
  return (
    <div className="banner" role="alert">
      <b>{STRINGS.problemsTitle}</b>
      {problems.slice(0, 4).map((problem) => (
        <p
          key={`${String(problem.line)}:${String(problem.column)}${problem.message}`}
        >{`${problem.line === 0 ? '' : `Line ${String(problem.line)}: `}${problem.message}. ${problem.remedy}`}</p>
      ))}
    </div>
  );
}

/** A run that hit a bound, or in which the host itself stopped, says so at its end. */
function Stopped(): React.JSX.Element | null {
  const message = useApp((state) => state.runs[0]?.timeline.stop?.message);
  const atEnd = useApp((state) => state.settled === state.runs[0]?.timeline.length);
  if (message === undefined || !atEnd) return null;
  return (
    <div className="banner" role="status">
      <b>{TROUBLES.stopped}</b>
      <p>{message}</p>
    </div>
  );
}
