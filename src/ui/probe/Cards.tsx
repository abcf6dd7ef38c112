/** Entries and registers with every bit as a button. */
import { useState } from 'react';
import type { Flip } from '../../core/operations/probe-flips.ts';
import type { BitView, Card } from '../../scene/probe-bits.ts';
import { PROBE_STRINGS } from './strings.ts';

interface Doing {
  readonly flip: (flip: Flip) => void;
  /** Says what the bit under the pointer or the focus means. */
  readonly hint: (words: string) => void;
}

const hex = (value: bigint): string => `0x${value.toString(16)}`;

export function Cards({ cards, ...doing }: { cards: readonly Card[] } & Doing): React.JSX.Element {
  return (
    <>
      {cards.map((card) => (
        <CardView key={card.id} card={card} {...doing} />
      ))}
    </>
  );
}

function CardView({ card, ...doing }: { card: Card } & Doing): React.JSX.Element {
  const [whole, setWhole] = useState(false);
  const changed = card.before !== card.after;
  const label =
    card.named.length === 0 ? PROBE_STRINGS.bitsOf(card.title) : PROBE_STRINGS.otherBits(card.title);
  return (
    <div className={`card ${card.dimension}`} role="group" aria-label={card.title}>
      <p className="card-title">
        <b>{card.title}</b>
        <span className="quiet">{card.about}</span>
        <span className="mono">
          {changed ? (
            <>
              <s>{hex(card.before)}</s> → <b>{hex(card.after)}</b>
            </>
          ) : (
            hex(card.after)
          )}
        </span>
      </p>
      <div className="probe-bits">
        <Bits bits={card.named} {...doing} />
        {card.rest.length > 0 && (
          <button
            type="button"
            className="more"
            aria-expanded={whole}
            aria-label={label}
            title={label}
            onClick={() => {
              setWhole(!whole);
            }}
          >
            {whole ? '−' : card.named.length === 0 ? PROBE_STRINGS.allBits : '…'}
          </button>
        )}
      </div>
      {whole && (
        <div className="probe-bits">
          <Bits bits={card.rest} {...doing} />
        </div>
      )}
    </div>
  );
}

function Bits({ bits, flip, hint }: { bits: readonly BitView[] } & Doing): React.JSX.Element {
  const quiet = (): void => {
    hint('');
  };
  return (
    <>
      {bits.map((bit) => (
        <button
          key={bit.id}
          type="button"
          className={`${bit.set ? 'set' : ''}${bit.flipped ? ' flipped' : ''}`}
          aria-label={bit.label}
          title={bit.label}
          onPointerEnter={() => {
            hint(bit.label);
          }}
          onPointerLeave={quiet}
          onFocus={() => {
            hint(bit.label);
          }}
          onBlur={quiet}
          onClick={() => {
            flip(bit.flip);
            hint('');
          }}
        >
          <small>{bit.short}</small>
          {bit.set ? '1' : '0'}
        </button>
      ))}
    </>
  );
}
