/** The scenario language, as its own description says it: loaded when first wanted. */
import { use } from 'react';
import { Modal } from './Modal.tsx';
import { STRINGS } from '../strings.ts';

let loading: Promise<string> | undefined;
const description = (): Promise<string> =>
  (loading ??= import('../../scenario/LANGUAGE.md?raw').then(
    (module: { default: string }) => module.default,
  ));

export function Language(): React.JSX.Element {
  return (
    <Modal name="language" title={STRINGS.languageTitle} className="wide">
      {() => <Description text={use(description())} />}
    </Modal>
  );
}

/** Headings, paragraphs and blocks of code: all that the description uses. */
function Description({ text }: { text: string }): React.JSX.Element {
  return (
    <div className="language">
      {text.split('```').map((part, at) =>
        at % 2 === 1 ? (
          <pre key={part.slice(0, 40)} tabIndex={0}>
            {part.trim()}
          </pre>
        ) : (
          part
            .trim()
            .split(/\n\s*\n/)
            .filter((paragraph) => paragraph !== '')
            .map((paragraph) => <Paragraph key={paragraph.slice(0, 60)} text={paragraph} />)
        ),
      )}
    </div>
  );
}

function Paragraph({ text }: { text: string }): React.JSX.Element {
  if (text.startsWith('#')) return <h3>{text.replace(/^#+ /, '')}</h3>;
  return (
    <p>
      {text
        .split('`')
        .map((part, at) => (at % 2 === 1 ? <code key={`${part}${String(at)}`}>{part}</code> : part))}
    </p>
  );
}
