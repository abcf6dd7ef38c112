/** An entry or register looked into: every bit, and the line of text that a press on it adds. */
import { useState } from 'react';
import { inspectRow } from '../../scene/inspect.ts';
import type { Author, Inspected, InspectedBit, RegisterName } from '../../scene/inspected.ts';
import { addOperation, checkOperation } from '../../store/operations.ts';
import { set } from '../../store/state.ts';
import { STRINGS } from '../strings.ts';
import { INSPECT } from '../strings-later.ts';
import { useApp, useRun } from '../use-app.ts';
import './inspector.css';

export default function Inspector(): React.JSX.Element | null {
  const at = useRun();
  const row = useApp((state) => state.inspected);
  const [author, setAuthor] = useState<Author>('kernel');
  const [trouble, setTrouble] = useState<readonly string[]>([]);
  const found =
    at === undefined || row === undefined ? undefined : inspectRow(at.run.timeline, row, at.run.plan.names);
  if (found === undefined || row === undefined) return null;
  const by = found.authors.includes(author) ? author : (found.authors[0] ?? 'outside');
  const add = (text: string): void => {
    const problems = checkOperation(text);
    setTrouble(problems);
    if (problems.length === 0) void addOperation(text);
  };
  return (
    <section
      className="inspector"
      aria-label={found.title}
      onKeyDown={(event) => {
        if (event.key === 'Escape') set({ inspected: undefined });
      }}
    >
      <header>
        <b>{found.title}</b>
        <button
          type="button"
          onClick={() => {
            set({ inspected: undefined });
          }}
        >
          {STRINGS.close}
        </button>
      </header>
      <p className="mono">
        {found.facts === undefined ? `${found.about} · 0x${found.value.toString(16)}` : found.about}
      </p>
      {found.registers !== undefined && found.registers.length > 1 && (
        <Registers row={row} names={found.registers} />
      )}
      {found.authors.length > 0 && <p className="quiet">{INSPECT.flip}</p>}
      {found.facts !== undefined && <Facts facts={found.facts} />}
      {found.authors.length > 1 && (
        <div className="authors" role="group" aria-label={INSPECT.who}>
          {found.authors.map((who) => (
            <button
              key={who}
              type="button"
              aria-pressed={who === by}
              onClick={() => {
                setAuthor(who);
              }}
            >
              {INSPECT[who]}
            </button>
          ))}
        </div>
      )}
      <Bits found={found} by={by} add={add} />
      {found.actions.length > 0 && (
        <div className="actions">
          {found.actions.map((action) => (
            <button
              key={action.label}
              type="button"
              title={action.text}
              onClick={() => {
                add(action.text);
              }}
            >
              {action.label}
            </button>
          ))}
        </div>
      )}
      {trouble.map((sentence) => (
        <p key={sentence} className="trouble" role="alert">
          {sentence}
        </p>
      ))}
    </section>
  );
}

function Facts({ facts }: { facts: NonNullable<Inspected['facts']> }): React.JSX.Element {
  return (
    <dl className="cached">
      {facts.map(({ name, text }) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{text}</dd>
        </div>
      ))}
    </dl>
  );
}

function Registers({ row, names }: { row: string; names: readonly RegisterName[] }): React.JSX.Element {
  return (
    <div className="authors" role="group" aria-label={INSPECT.registers}>
      {names.map((name) => (
        <button
          key={name}
          type="button"
          aria-pressed={row === `reg:${name}`}
          onClick={() => {
            set({ inspected: `reg:${name}` });
          }}
        >
          {name.toUpperCase()}
        </button>
      ))}
    </div>
  );
}

function Bits(props: { found: Inspected; by: Author; add: (text: string) => void }): React.JSX.Element {
  const flip = (bit: InspectedBit): string | undefined =>
    bit.flips.find((candidate) => candidate.by === props.by)?.text ?? bit.flips[0]?.text;
  return (
    <div className="all-bits">
      {props.found.bits.map((bit) => (
        <button
          key={bit.bit}
          type="button"
          className={bit.set ? 'set' : ''}
          aria-pressed={bit.set}
          aria-label={bit.meaning}
          title={`${bit.meaning}\n${flip(bit) ?? ''}`}
          onClick={() => {
            const text = flip(bit);
            if (text !== undefined) props.add(text);
          }}
        >
          <small>{bit.short ?? bit.bit}</small>
          {bit.set ? '1' : '0'}
        </button>
      ))}
    </div>
  );
}
