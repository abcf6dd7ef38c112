/** The scenario language, as its own description says it. */
import description from '../../scenario/LANGUAGE.md?raw';
import './dialogs.css';

export default function Language(): React.JSX.Element {
  return <Description text={description} />;
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
