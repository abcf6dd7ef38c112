/**
 * Doing instead of typing: a form whose operation becomes a line of the text, after the operation at the cursor, or in the
 * middle of it, where another vCPU acts.
 */
import { useId, useMemo, useState } from 'react';
import { PREEMPTION_POINTS } from '../../core/preemption-words.ts';
import { outsideRegisters } from '../../core/hardware/outside-registers.ts';
import type { OperationRecord } from '../../core/operations/recorder.ts';
import { vcpusOf, type Settings } from '../../core/settings.ts';
import { addressesIn, spacesIn } from '../../scenario/assist.ts';
import { addOperation, checkOperation } from '../../store/operations.ts';
import type { Run } from '../../store/state.ts';
import { DOING } from '../strings-later.ts';
import { stepAt, useApp, useSettledRun } from '../use-app.ts';
import { Choose, Field } from './fields.tsx';
import {
  actorsOf,
  EMPTY,
  fitted,
  lineOf,
  placesOf,
  registersOf,
  takesAddress,
  verbsOf,
  type Form,
  type Verb,
  type When,
} from './line.ts';
import { pointsOf } from './points.ts';
import './doing.css';

export default function Doing(): React.JSX.Element | null {
  const at = useSettledRun();
  if (at === undefined) return null;
  const { run, cursor } = at;
  const step = stepAt(run, cursor);
  const operation = step === undefined ? undefined : run.timeline.operationAt(step.index);
  // Before the first operation, and in the setup, there is nothing to be in the middle of.
  const here = operation === undefined || operation.section === 'setup' ? undefined : operation;
  return <FormOf run={run} here={here} />;
}

interface Part {
  readonly form: Form;
  readonly settings: Settings;
  readonly change: (part: Partial<Form>) => void;
}

function FormOf({ run, here }: { run: Run; here: OperationRecord | undefined }): React.JSX.Element {
  const [chosen, setChosen] = useState(EMPTY);
  const [trouble, setTrouble] = useState<readonly string[]>([]);
  const { settings } = run.plan.program;
  const severalHere = vcpusOf(settings).length > 1 && here !== undefined;
  const when = severalHere ? chosen.when : 'after';
  const form = fitted({ ...chosen, when }, settings, here?.vcpu ?? 0);
  const line = lineOf(form);
  const change = (part: Partial<Form>): void => {
    setChosen({ ...form, ...part });
    setTrouble([]);
  };
  const add = (): void => {
    const found = checkOperation(line);
    setTrouble(found);
    if (found.length === 0) void addOperation(line);
  };
  const part = { form, settings, change };
  const complete = !takesAddress(form) || form.address.trim() !== '';
  return (
    <>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          add();
        }}
      >
        {severalHere && <Moment {...part} run={run} here={here} />}
        <Actor {...part} busy={here?.vcpu ?? 0} />
        <Arguments {...part} />
        {complete && <output>{line}</output>}
        <button type="submit" disabled={!complete}>
          {form.when === 'after' ? DOING.add : DOING.addInside}
        </button>
      </form>
      {trouble.map((sentence) => (
        <p key={sentence} className="trouble" role="alert">
          {sentence}
        </p>
      ))}
    </>
  );
}

/** After the operation, or at a point in the middle of it. */
function Moment({ form, change, run, here }: Part & { run: Run; here: OperationRecord }): React.JSX.Element {
  const { timeline } = run;
  const points = useMemo(() => pointsOf(timeline, here), [timeline, here]);
  const meaning = Object.entries(PREEMPTION_POINTS).find(([point]) => point === form.when)?.[1];
  return (
    <>
      <Choose<When>
        label={DOING.when}
        value={form.when}
        values={[
          { label: '', values: ['after'] },
          { label: DOING.near, values: points.near },
          { label: DOING.far, values: points.far },
        ]}
        text={(value) => (value === 'after' ? DOING.after : value)}
        wide
        onChange={(when) => {
          change({ when, visit: '1' });
        }}
      />
      {meaning !== undefined && (
        <>
          <p className="quiet">{DOING.there(meaning)}</p>
          <Choose
            label={DOING.visit}
            value={form.visit}
            values={VISITS}
            text={(visit) => DOING.visits[Number(visit) - 1] ?? visit}
            wide
            onChange={(visit) => {
              change({ visit });
            }}
          />
        </>
      )}
    </>
  );
}

const VISITS = ['1', '2', '3', '4'] as const;

/** Who does what. */
function Actor({ form, settings, change, busy }: Part & { busy: number }): React.JSX.Element {
  const { verb, who, vcpu, when } = form;
  const actors = actorsOf(settings, { when, busy });
  const choosesVcpu = vcpusOf(settings).length > 1 && !verb.startsWith('host ') && verb !== 'flip';
  const choosesRights = ['read', 'write', 'exec'].includes(verb);
  return (
    <>
      <Choose<Verb>
        label={DOING.what}
        value={verb}
        values={verbsOf(settings, when).map(({ by, verbs }) => ({ label: DOING.by[by], values: verbs }))}
        wide={choosesVcpu === choosesRights}
        onChange={(next) => {
          change({ verb: next });
        }}
      />
      {choosesVcpu && (
        <Choose
          label={DOING.vcpu}
          value={String(vcpu)}
          values={actors.map(String)}
          onChange={(next) => {
            change({ vcpu: Number(next) });
          }}
        />
      )}
      {choosesRights && (
        <Choose
          label={DOING.who}
          value={who}
          values={['user', 'kernel']}
          onChange={(next) => {
            change({ who: next });
          }}
        />
      )}
      <p className="quiet">{DOING.means[verb]}</p>
    </>
  );
}

/** What the operation is about. */
function Arguments(part: Part): React.JSX.Element {
  const { form, change } = part;
  const { verb } = form;
  return (
    <>
      {verb === 'flip' && <FlipPlaces {...part} />}
      {takesAddress(form) && <Address {...part} />}
      {verb === 'set' && <Register {...part} />}
      {(verb === 'write' || verb === 'set') && (
        <Field
          label={DOING.value}
          value={form.value}
          onChange={(value) => {
            change({ value });
          }}
        />
      )}
      {verb === 'set-pte' && (
        <Field
          label={DOING.target}
          value={form.target}
          onChange={(target) => {
            change({ target });
          }}
        />
      )}
      {(verb === 'load-cr3' || verb === 'load-ttbr0') && <Space {...part} />}
      {(verb === 'host log' || verb === 'host fetch-log') && <Slot {...part} />}
      {verb === 'host log' && (
        <Choose
          label={DOING.log}
          value={form.state}
          values={['on', 'off']}
          onChange={(state) => {
            change({ state });
          }}
        />
      )}
      {verb === 'flip' && <FlipBit {...part} />}
    </>
  );
}

function Address({ form, change }: Part): React.JSX.Element {
  const list = useId();
  const text = useApp((state) => state.text);
  const addresses = useMemo(() => addressesIn(text), [text]);
  // Addresses of memory and of the second stage are the guest's physical ones: the text names none of those.
  const physical = form.verb === 'flip' && form.place !== 'shadow';
  return (
    <>
      <Field
        label={physical ? DOING.physical : DOING.address}
        value={form.address}
        {...(physical ? {} : { list })}
        onChange={(address) => {
          change({ address });
        }}
      />
      <datalist id={list}>
        {addresses.map((offer) => (
          <option key={offer.text} value={offer.text}>
            {offer.meaning}
          </option>
        ))}
      </datalist>
    </>
  );
}

const Register = ({ form, settings, change }: Part): React.JSX.Element => (
  <Choose
    label={DOING.register}
    value={form.register}
    values={registersOf(settings)}
    onChange={(register) => {
      change({ register });
    }}
  />
);

function Space({ form, change }: Part): React.JSX.Element {
  const text = useApp((state) => state.text);
  return (
    <Choose
      label={DOING.space}
      value={form.space}
      values={spacesIn(text)}
      onChange={(space) => {
        change({ space });
      }}
    />
  );
}

function Slot({ form, change }: Part): React.JSX.Element {
  const slots = useApp((state) => state.runs[0]?.plan.program.slots.length ?? 1);
  return (
    <Choose
      label={DOING.slot}
      value={form.slot}
      values={Array.from({ length: slots }, (_, slot) => String(slot))}
      onChange={(slot) => {
        change({ slot });
      }}
    />
  );
}

const FlipPlaces = ({ form, settings, change }: Part): React.JSX.Element => (
  <Choose
    label={DOING.place}
    value={form.place}
    values={placesOf(settings)}
    text={(place) => DOING.places[place]}
    wide
    onChange={(place) => {
      change({ place });
    }}
  />
);

function FlipBit({ form, settings, change }: Part): React.JSX.Element {
  return (
    <>
      {form.place === 'register' && (
        <Choose
          label={DOING.outside}
          value={form.outside}
          values={outsideRegisters(settings)}
          onChange={(outside) => {
            change({ outside });
          }}
        />
      )}
      {(form.place === 'shadow' || form.place === 'host') && (
        <Field
          label={DOING.level}
          narrow
          value={form.level}
          onChange={(level) => {
            change({ level });
          }}
        />
      )}
      <Field
        label={DOING.bit}
        narrow
        value={form.bit}
        onChange={(bit) => {
          change({ bit });
        }}
      />
    </>
  );
}
