/** The translation bench: an access tried out at this step, its bits flipped, and the same as lines of the text. */
import { useEffect, useId, useMemo, useRef, useState } from 'react';
import { probe } from '../../core/operations/probe.ts';
import type { Flip } from '../../core/operations/probe-flips.ts';
import type { Probe, ProbeRequest } from '../../core/operations/probe-result.ts';
import { addressesIn } from '../../scenario/assist.ts';
import { addressAt } from '../../scene/address.ts';
import { addressText } from '../../scene/inspected.ts';
import { probeLines, typedAddress } from '../../scene/probe-lines.ts';
import { toggled } from '../../scene/probe-bits.ts';
import { registerCards } from '../../scene/probe-registers.ts';
import { entryCards } from '../../scene/probe-view.ts';
import { addOperation, checkOperation } from '../../store/operations.ts';
import { set, store, type Run } from '../../store/state.ts';
import { STRINGS } from '../strings.ts';
import { stepAt, useApp, useSettledRun } from '../use-app.ts';
import { Cards } from './Cards.tsx';
import { Codes, Outcome } from './Outcome.tsx';
import { PROBE_STRINGS } from './strings.ts';
import { Walk } from './Walk.tsx';
import './probe.css';

interface Asked {
  readonly address: string;
  readonly access: ProbeRequest['access'];
  readonly who: 'user' | 'kernel';
  readonly caches: ProbeRequest['caches'];
}

interface Flipped {
  /** Flips are of this run: another text has other entries. */
  readonly run: Run | undefined;
  readonly flips: readonly Flip[];
}

const NO_FLIPS: readonly Flip[] = [];
/** What was asked last, for when the bench is opened again. */
let remembered: Asked | undefined;

export default function TranslationBench(): React.JSX.Element | null {
  const at = useSettledRun();
  return at === undefined ? null : <Bench run={at.run} cursor={at.cursor} />;
}

function Bench({ run, cursor }: { run: Run; cursor: number }): React.JSX.Element {
  const [asked, setAsked] = useState<Asked>(() => remembered ?? firstQuestion(run, cursor));
  const [flipped, setFlipped] = useState<Flipped>({ run: undefined, flips: NO_FLIPS });
  const [hint, setHint] = useState('');
  const flips = flipped.run === run ? flipped.flips : NO_FLIPS;
  const { names } = run.plan;
  const typed = useMemo(() => typedAddress(asked.address, names), [asked.address, names]);
  const gva = typed.kind === 'address' ? typed.gva : undefined;
  const tried = useTrials(run, { cursor, asked, gva, flips });
  const close = (): void => {
    set({ probing: false });
    document.querySelector<HTMLElement>('[data-opens="bench"]')?.focus();
  };
  return (
    <section
      className="bench"
      aria-label={PROBE_STRINGS.title}
      onKeyDown={(event) => {
        if (event.key !== 'Escape') return;
        event.preventDefault();
        close();
      }}
    >
      <header>
        <h2>{PROBE_STRINGS.title}</h2>
        <button type="button" onClick={close}>
          {STRINGS.close}
        </button>
      </header>
      <Question
        asked={asked}
        problem={typed.kind === 'problem' ? typed.sentence : undefined}
        ask={(part) => {
          remembered = { ...asked, ...part };
          setAsked(remembered);
        }}
      />
      {tried === undefined ? (
        <p className="quiet">{typed.kind === 'nothing' ? PROBE_STRINGS.nothing : ''}</p>
      ) : (
        <>
          <Outcome base={tried.base} now={tried.now} settings={run.plan.program.settings} />
          <div className="bench-body">
            <Results
              run={run}
              tried={tried}
              hint={setHint}
              flip={(one) => {
                setFlipped({ run, flips: toggled(flips, one) });
              }}
            />
          </div>
          <Doing
            run={run}
            request={tried.now.request}
            hint={hint}
            reset={() => {
              setFlipped({ run, flips: NO_FLIPS });
            }}
          />
        </>
      )}
    </section>
  );
}

/** The access at hand, or the address that the step is about. */
function firstQuestion(run: Run, cursor: number): Asked {
  const { names, program } = run.plan;
  const step = stepAt(run, cursor);
  const operation = step === undefined ? undefined : run.timeline.operationAt(step.index);
  const planned = (operation === undefined ? program.body[0] : run.timeline.plannedOf(operation))?.operation;
  if (planned?.kind === 'access')
    return {
      address: addressText(planned.gva, names),
      access: planned.access,
      who: planned.privilege,
      caches: 'as they are',
    };
  const at = addressAt(run.timeline, step)?.gva ?? [...names.values()][0];
  return {
    address: at === undefined ? '' : addressText(at, names),
    access: 'read',
    who: at !== undefined && at >> 63n === 1n ? 'kernel' : 'user',
    caches: 'as they are',
  };
}

interface Trials {
  readonly base: Probe;
  readonly now: Probe;
  /** With empty caches: it reads every entry that there is on the way. */
  readonly whole: Probe;
}

function useTrials(
  run: Run,
  by: { cursor: number; asked: Asked; gva: bigint | undefined; flips: readonly Flip[] },
): Trials | undefined {
  const { cursor, gva, flips } = by;
  const { access, who, caches } = by.asked;
  return useMemo(() => {
    const { timeline } = run;
    if (gva === undefined || cursor < timeline.begin) return undefined;
    const { settings } = timeline.program;
    const request = { vcpu: 0, gva, access, user: who === 'user', flips: NO_FLIPS, caches } as const;
    const base = probe(timeline.world, settings, request);
    const now = flips.length === 0 ? base : probe(timeline.world, settings, { ...request, flips });
    const whole =
      caches === 'empty' ? base : probe(timeline.world, settings, { ...request, caches: 'empty' });
    return { base, now, whole };
  }, [run, cursor, gva, access, who, caches, flips]);
}

function Question(props: {
  asked: Asked;
  problem: string | undefined;
  ask: (part: Partial<Asked>) => void;
}): React.JSX.Element {
  const { asked, problem, ask } = props;
  const field = useRef<HTMLInputElement>(null);
  const [list, trouble] = [useId(), useId()];
  const text = useApp((state) => state.text);
  const offers = useMemo(() => addressesIn(text), [text]);
  useEffect(() => {
    field.current?.focus();
    field.current?.select();
  }, []);
  return (
    <div className="question">
      <label className="address">
        <span>{PROBE_STRINGS.address}</span>
        <input
          ref={field}
          value={asked.address}
          list={list}
          placeholder={PROBE_STRINGS.placeholder}
          spellCheck={false}
          autoComplete="off"
          aria-invalid={problem !== undefined}
          aria-describedby={problem === undefined ? undefined : trouble}
          onChange={(event) => {
            ask({ address: event.target.value });
          }}
        />
      </label>
      <datalist id={list}>
        {offers.map((offer) => (
          <option key={offer.text} value={offer.text}>
            {offer.meaning}
          </option>
        ))}
      </datalist>
      <Pick
        label={PROBE_STRINGS.access}
        value={asked.access}
        words={PROBE_STRINGS.accesses}
        onPick={(access) => {
          ask({ access });
        }}
      />
      <Pick
        label={PROBE_STRINGS.who}
        value={asked.who}
        words={PROBE_STRINGS.privileges}
        onPick={(who) => {
          ask({ who });
        }}
      />
      <label className="empty">
        <input
          type="checkbox"
          checked={asked.caches === 'empty'}
          onChange={(event) => {
            ask({ caches: event.target.checked ? 'empty' : 'as they are' });
          }}
        />
        {PROBE_STRINGS.emptyCaches}
      </label>
      {problem !== undefined && (
        <p id={trouble} className="trouble" role="alert">
          {problem}
        </p>
      )}
    </div>
  );
}

function Pick<T extends string>(props: {
  label: string;
  value: T;
  words: Readonly<Record<T, string>>;
  onPick: (value: T) => void;
}): React.JSX.Element {
  return (
    <div className="pick" role="group" aria-label={props.label}>
      {(Object.keys(props.words) as T[]).map((value) => (
        <button
          key={value}
          type="button"
          aria-pressed={value === props.value}
          onClick={() => {
            props.onPick(value);
          }}
        >
          {props.words[value]}
        </button>
      ))}
    </div>
  );
}

function Results(props: {
  run: Run;
  tried: Trials;
  flip: (flip: Flip) => void;
  hint: (words: string) => void;
}): React.JSX.Element {
  const { run, tried, flip, hint } = props;
  const { settings } = run.plan.program;
  const { base, now, whole } = tried;
  const { world } = run.timeline;
  const entries = entryCards([whole, base, now], settings);
  const registers = registerCards(world, settings, { vcpu: 0, flips: now.request.flips });
  const atWork = world.get('vcpu', 0)?.mode !== 'guest';
  return (
    <>
      {atWork && <p className="note">{PROBE_STRINGS.atWork}</p>}
      {now.preparations.some(({ done }) => !done) && (
        <p className="note">
          {now.preparations.some(({ done, operation }) => !done && operation.kind === 'flip')
            ? PROBE_STRINGS.refusedFlip
            : PROBE_STRINGS.refusedWrite}
        </p>
      )}
      {now.remarks.map((remark) => (
        <p key={remark} className="note">
          {remark}
        </p>
      ))}
      <Codes probe={now} settings={settings} />
      <h3>{PROBE_STRINGS.entries}</h3>
      {entries.length === 0 && <p className="quiet">{PROBE_STRINGS.noEntries}</p>}
      <Cards cards={entries} flip={flip} hint={hint} />
      {registers.length > 0 && <h3>{PROBE_STRINGS.registers}</h3>}
      <Cards cards={registers} flip={flip} hint={hint} />
      <h3>{PROBE_STRINGS.steps}</h3>
      <Walk base={base} now={now} settings={settings} />
    </>
  );
}

function Doing(props: {
  run: Run;
  request: ProbeRequest;
  hint: string;
  reset: () => void;
}): React.JSX.Element {
  const { run, request, hint, reset } = props;
  const [trouble, setTrouble] = useState<{ text: string; sentences: readonly string[] } | undefined>();
  const { settings } = run.plan.program;
  const lines = probeLines({ world: run.timeline.world, settings, names: run.plan.names }, request);
  const text = lines.join('\n');
  const quiet = request.caches === 'empty' ? PROBE_STRINGS.cachesNote : PROBE_STRINGS.hint;
  const add = (): void => {
    const sentences = checkOperation(text);
    setTrouble(sentences.length === 0 ? undefined : { text, sentences });
    if (sentences.length === 0 && store.getState().runs[0] === run) void addOperation(text);
  };
  return (
    <footer>
      <p className="hint">{hint === '' ? quiet : hint}</p>
      {trouble?.text === text &&
        trouble.sentences.map((sentence) => (
          <p key={sentence} className="trouble" role="alert">
            {sentence}
          </p>
        ))}
      <div className="adding">
        <pre role="group" aria-label={PROBE_STRINGS.lines} tabIndex={0}>
          {text}
        </pre>
        <div className="buttons">
          <button type="button" className="main" onClick={add}>
            {PROBE_STRINGS.add}
          </button>
          {request.flips.length > 0 && (
            <button type="button" onClick={reset}>
              {PROBE_STRINGS.reset(request.flips.length)}
            </button>
          )}
        </div>
      </div>
    </footer>
  );
}
