/**
 * A recorded guest program in the language of scenarios: what a person reads, and may change into a scenario of their
 * own. One line a recorded step, so that lines and steps are numbered alike. What the language has no word for is said
 * in comments; tables stand as raw entries, because the program stores into them by address.
 */
import { startRegistersOf } from '../core/hardware/start-registers.ts';
import { hex, PAGE } from './numbers.ts';
import { settingsOf } from './recorded-vm.ts';
import type { RecordedScenario, RecordedStep } from './recording.ts';
import { tableLines } from './text-tables.ts';
import { Moved } from './moved.ts';

/** Where a recorded step stands in the text. */
export interface StepLine {
  readonly line: number;
  readonly lastLine: number;
  readonly text: string;
}

export interface TextForm {
  readonly text: string;
  /** By the number of the step. */
  readonly steps: readonly StepLine[];
}

export function textForm(scenario: RecordedScenario): TextForm {
  const lines = [...headLines(scenario), ...givenLines(scenario), '', 'begin'];
  const words = new Words(scenario);
  const steps = scenario.steps.map((step): StepLine => {
    const [first = '', ...handler] = words.linesOf(step);
    const line = lines.length + 1;
    lines.push(first, ...handler);
    const lastLine = lines.length;
    if (step.note !== undefined) lines.push(`note ${quoted(step.note)}`);
    return { line, lastLine, text: first.replace(/\s+# .*$/, '') };
  });
  return { text: `${lines.join('\n')}\n`, steps };
}

const quoted = (text: string): string => `"${text.replaceAll('"', "'")}"`;

/** Title, settings, what the text leaves out, memory, tables. */
function headLines(scenario: RecordedScenario): string[] {
  const { title, about, kernel, memslots } = scenario;
  const moved = new Moved(scenario);
  const settings = settingsOf(scenario);
  const chosen = ['era', 'cpu', 'guest', 'vcpus'] as const;
  const more = [
    ...(settings['nx-huge-pages'] === 'on' ? ['nx-huge-pages=on'] : []),
    ...(settings['log-clear'] === 'with-fetch' ? [] : [`log-clear=${settings['log-clear']}`]),
  ];
  return [
    'mmuscope 1',
    `title ${title}, as Linux ${settings.era} did it`,
    `about ${quoted(about)}`,
    `machine kvm-shadow ${[...chosen.map((name) => `${name}=${settings[name]}`), ...more].join(' ')}`,
    '',
    `# A guest program that ran under KVM, kernel ${kernel}, with everything recorded that its MMU did.`,
    '# While this text is unchanged the run is the recorded program itself, instruction by instruction. It has more',
    '# accesses than the lines: each step fetches its code, enters and leaves user mode through the kernel stack and the',
    '# descriptor tables, and stops at a port for the recorder. A changed text is a scenario of its own, without those.',
    '# Where the process had the memory of its slots is left out, and what lies in pages that are no tables.',
    '',
    ...memslots.map(
      ({ slot, size, flags, backing, present_at_start }) =>
        [
          `slot ${hex(moved.slotAt(slot))} ${sizeText(BigInt(size))}`,
          ...((flags & 2) === 0 ? [] : ['readonly']),
          ...(backing.includes('2m') && !backing.startsWith('anon') ? ['large'] : []),
          ...(present_at_start ? [] : ['absent']),
        ].join(' ') + moved.remarkOn(slot),
    ),
    ...tableLines(scenario, moved),
  ];
}

const sizeText = (bytes: bigint): string =>
  bytes % (1n << 20n) === 0n ? `${String(bytes >> 20n)}M` : `${String(bytes >> 10n)}K`;

/** Registers as the recorded program has them when it begins. */
function givenLines(scenario: RecordedScenario): string[] {
  const start: Readonly<Record<string, bigint>> = startRegistersOf(settingsOf(scenario).guest);
  const lines = scenario.vcpus.flatMap(({ id, cr0, cr3, cr4, efer }) => [
    ...Object.entries({ efer, cr4, cr0 }).flatMap(([name, value]) =>
      start[name] === BigInt(value) ? [] : [`  v${String(id)} kernel set ${name} = ${value}`],
    ),
    ...(BigInt(cr3) === 0n ? [] : [`  v${String(id)} kernel ${loadRoot(cr3)}`]),
  ]);
  return lines.length === 0 ? [] : ['', 'given', ...lines];
}

const loadRoot = (value: string): string =>
  BigInt(value) % PAGE === 0n ? `load-cr3 gfn ${hex(BigInt(value) / PAGE)}` : `set cr3 = ${value}`;

type Operation = Pick<RecordedStep, 'op' | 'gva' | 'gpa' | 'value' | 'size' | 'slot' | 'flags' | 'len'>;

const HOST_MEMORY: Readonly<Record<string, string>> = {
  host_madvise_dontneed: 'unmap',
  host_mprotect_readonly: 'write-protect',
  host_mprotect_readwrite: 'make-writable',
  host_madvise_collapse: 'collapse',
};

/** The lines of steps. */
class Words {
  private readonly scenario: RecordedScenario;
  private readonly moved: Moved;

  constructor(scenario: RecordedScenario) {
    this.scenario = scenario;
    this.moved = new Moved(scenario);
  }

  linesOf(step: RecordedStep): readonly string[] {
    if (step.op.startsWith('host_')) return [`host ${this.hostWords(step)}`];
    const who = `v${String(step.vcpu)} ${step.user === true || step.op === 'warmup' ? 'user' : 'kernel'}`;
    const { ops = [], then = 'skip' } = step.on_fault ?? {};
    return [
      `${who} ${this.guestWords(step)}`,
      ...(step.on_fault === undefined
        ? []
        : [
            '  on #PF',
            ...ops.map((own) => `    ${this.guestWords(own)}`),
            `    ${then}${retriesOf(step.on_fault)}`,
          ]),
    ];
  }

  private guestWords(of: Operation): string {
    const { op, gva = '0x0', value = '0x0' } = of;
    switch (op) {
      case 'warmup':
        return `read ${this.codeOf(of)} bytes=1  # and of each other page of code, descriptors and stack; then a write to the stack`;
      case 'read':
      case 'exec':
        return `${op} ${gva}${op === 'read' ? bytesOf(of) : ''}`;
      case 'write':
        return `write ${gva} = ${value}${bytesOf(of)}`;
      case 'write_pte':
        return this.entryWords(of);
      case 'invlpg':
        return `invlpg ${gva}`;
      case 'mov_cr3':
        return loadRoot(value);
      case 'mov_cr0':
      case 'mov_cr4':
        return `set ${op.slice('mov_'.length)} = ${value}`;
      case 'spin_until':
        return `read ${gva}${bytesOf(of)}  # again and again, in a loop, until it finds ${value}`;
      default:
        throw new Error(`the operation ${op} is not known`);
    }
  }

  private entryWords(of: Operation): string {
    const { gva = '0x0', gpa = '0x0', value = '0x0' } = of;
    const entry = this.moved.entry(BigInt(value));
    const said = [`the entry at ${gpa}`, ...(entry === BigInt(value) ? [] : [`${value} in the recording`])];
    return `write ${gva} = ${hex(entry)}${bytesOf(of)}  # ${said.join('; ')}`;
  }

  /** Where the program of a vCPU begins: in its first page of code. */
  private codeOf(of: Operation & { readonly vcpu?: number }): string {
    return this.scenario.vcpus[of.vcpu ?? 0]?.rip ?? '0x0';
  }

  private hostWords(step: RecordedStep): string {
    const { op, slot = 0, flags = 0, gpa = '0x0', len = '0x0' } = step;
    const id = `slot=${String(this.scenario.memslots.findIndex((record) => record.slot === slot))}`;
    const from = hex(this.moved.address(BigInt(gpa)));
    const pages = `pages=${String(BigInt(len) / PAGE)}`;
    switch (op) {
      case 'host_set_slot_flags':
        return `log ${id} ${(flags & 1) === 0 ? 'off' : 'on'}`;
      case 'host_get_dirty_log':
        return `fetch-log ${id}`;
      case 'host_clear_dirty_log':
        return `clear-log ${id} ${from} ${pages}`;
      case 'host_add_slot':
        return `add-slot ${id}`;
      case 'host_delete_slot':
        return `delete-slot ${id}`;
      default: {
        const change = HOST_MEMORY[op];
        if (change === undefined) throw new Error(`the host operation ${op} is not known`);
        return `${change} ${from} ${pages}`;
      }
    }
  }
}

/** The recorded program gives up after so many faults. */
const retriesOf = ({ max_retries: most }: Readonly<Record<string, unknown>>): string =>
  typeof most === 'number' ? `  # a further fault is skipped, after ${String(most)}` : '';

const bytesOf = ({ size = 8 }: Operation): string => (size === 8 ? '' : ` bytes=${String(size)}`);
