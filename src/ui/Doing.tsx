/** Doing instead of typing: a form whose operation becomes a line of the text, after the one at the cursor. */
import { useId, useMemo, useState } from 'react';
import { REGISTER_BITS } from '../core/hardware/registers.ts';
import { addressesIn, spacesIn } from '../scenario/assist.ts';
import { addOperation, checkOperation } from '../store/operations.ts';
import { DOING } from './strings-later.ts';
import { useApp } from './use-app.ts';
import './doing.css';

const VERBS = [
  'read',
  'write',
  'exec',
  'invlpg',
  'tlbi vae1is',
  'set-pte',
  'load-cr3',
  'load-ttbr0',
  'set',
  'cpuid',
  'flip',
] as const;
type Verb = (typeof VERBS)[number];

interface Form {
  readonly verb: Verb;
  readonly who: 'user' | 'kernel';
  readonly address: string;
  readonly value: string;
  readonly target: string;
  readonly space: string;
  readonly register: string;
  readonly bit: string;
}

const EMPTY: Form = {
  verb: 'read',
  who: 'user',
  address: '',
  value: '1',
  target: 'gfn 0x20 rw user accessed dirty',
  space: 'main',
  register: 'cr0.wp',
  bit: '1',
};

/** The line of text that a filled-in form stands for. */
function lineOf({ verb, who, address, value, target, space, register, bit }: Form): string {
  switch (verb) {
    case 'read':
    case 'exec':
      return `v0 ${who} ${verb} ${address}`;
    case 'write':
      return `v0 ${who} write ${address} = ${value}`;
    case 'invlpg':
    case 'tlbi vae1is':
      return `v0 kernel ${verb} ${address}`;
    case 'set-pte':
      return `v0 kernel set-pte ${address} -> ${target}`;
    case 'load-cr3':
    case 'load-ttbr0':
      return `v0 kernel ${verb} ${space}`;
    case 'set':
      return `v0 kernel set ${register} = ${value}`;
    case 'cpuid':
      return 'v0 cpuid';
    case 'flip':
      return `flip ${address} bit=${bit}`;
  }
}

const TAKES_ADDRESS: readonly Verb[] = ['read', 'write', 'exec', 'invlpg', 'tlbi vae1is', 'set-pte', 'flip'];

/** What only the other architecture has. */
const ONLY_X86: readonly Verb[] = ['invlpg', 'load-cr3', 'set'];
const ONLY_ARM: readonly Verb[] = ['tlbi vae1is', 'load-ttbr0'];
const verbsOf = (cpu: string | undefined): readonly Verb[] =>
  VERBS.filter((verb) => !(cpu === 'arm64' ? ONLY_X86 : ONLY_ARM).includes(verb));

export default function Doing(): React.JSX.Element {
  const [form, setForm] = useState(EMPTY);
  const [trouble, setTrouble] = useState<readonly string[]>([]);
  const text = useApp((state) => state.text);
  const cpu = useApp((state) => state.runs[0]?.plan.program.settings.cpu);
  const list = useId();
  const addresses = useMemo(() => addressesIn(text), [text]);
  const line = lineOf(form);
  const change = (part: Partial<Form>): void => {
    setForm({ ...form, ...part });
    setTrouble([]);
  };
  const add = (): void => {
    const found = checkOperation(line);
    setTrouble(found);
    if (found.length === 0) void addOperation(line);
  };
  return (
    <>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          add();
        }}
      >
        <Choose
          label={DOING.what}
          value={form.verb}
          values={verbsOf(cpu)}
          onChange={(verb) => {
            change({ verb });
          }}
        />
        {['read', 'write', 'exec'].includes(form.verb) && (
          <Choose
            label={DOING.who}
            value={form.who}
            values={['user', 'kernel']}
            onChange={(who) => {
              change({ who });
            }}
          />
        )}
        {TAKES_ADDRESS.includes(form.verb) && (
          <Field
            label={DOING.address}
            value={form.address}
            list={list}
            onChange={(address) => {
              change({ address });
            }}
          />
        )}
        {(form.verb === 'write' || form.verb === 'set') && (
          <Field
            label={DOING.value}
            value={form.value}
            onChange={(value) => {
              change({ value });
            }}
          />
        )}
        {form.verb === 'set' && (
          <Choose
            label={DOING.register}
            value={form.register}
            values={REGISTER_BITS.map(({ register, name }) => `${register}.${name}`)}
            onChange={(register) => {
              change({ register });
            }}
          />
        )}
        {form.verb === 'set-pte' && (
          <Field
            label={DOING.target}
            value={form.target}
            onChange={(target) => {
              change({ target });
            }}
          />
        )}
        {(form.verb === 'load-cr3' || form.verb === 'load-ttbr0') && (
          <Choose
            label={DOING.space}
            value={form.space}
            values={spacesIn(text)}
            onChange={(space) => {
              change({ space });
            }}
          />
        )}
        {form.verb === 'flip' && (
          <Field
            label={DOING.bit}
            value={form.bit}
            onChange={(bit) => {
              change({ bit });
            }}
          />
        )}
        <datalist id={list}>
          {addresses.map((offer) => (
            <option key={offer.text} value={offer.text}>
              {offer.meaning}
            </option>
          ))}
        </datalist>
        <button type="submit" disabled={TAKES_ADDRESS.includes(form.verb) && form.address.trim() === ''}>
          {DOING.add}
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

function Choose<T extends string>(props: {
  label: string;
  value: T;
  values: readonly T[];
  onChange: (value: T) => void;
}): React.JSX.Element {
  return (
    <label>
      <span>{props.label}</span>
      <select
        value={props.value}
        onChange={(event) => {
          props.onChange(event.target.value as T);
        }}
      >
        {props.values.map((value) => (
          <option key={value}>{value}</option>
        ))}
      </select>
    </label>
  );
}

function Field(props: {
  label: string;
  value: string;
  list?: string;
  onChange: (value: string) => void;
}): React.JSX.Element {
  return (
    <label>
      <span>{props.label}</span>
      <input
        value={props.value}
        list={props.list}
        spellCheck={false}
        autoComplete="off"
        onChange={(event) => {
          props.onChange(event.target.value);
        }}
      />
    </label>
  );
}
