/**
 * The four files of a recorded scenario (see the recordings' own README), and what is expected of their shape. Numbers
 * of 64 bits are text.
 */
import * as v from 'valibot';

const hex = v.pipe(v.string(), v.regex(/^0x[0-9a-f]{1,16}$/, 'a number like 0x1000'));
const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const grown = v.record(v.string(), v.pipe(v.number(), v.integer()));

const operation = {
  op: v.string(),
  gva: v.optional(hex),
  gpa: v.optional(hex),
  value: v.optional(hex),
  size: v.optional(count),
  slot: v.optional(count),
  flags: v.optional(count),
  len: v.optional(hex),
};

const recordedStep = v.looseObject({
  step: count,
  vcpu: count,
  ...operation,
  user: v.optional(v.boolean()),
  async: v.optional(v.boolean()),
  note: v.optional(v.string()),
  on_fault: v.optional(
    v.looseObject({ ops: v.array(v.looseObject({ sub: count, ...operation })), then: v.string() }),
  ),
});

const recordedScenario = v.looseObject({
  name: v.string(),
  title: v.string(),
  about: v.string(),
  kernel: v.string(),
  mode: v.picklist(['long64', 'pae32', 'legacy32', 'nonpaging32']),
  pte_bytes: v.picklist([4, 8]),
  module_params: v.record(v.string(), v.string()),
  vcpus: v.array(
    v.looseObject({ id: count, cr0: hex, cr3: hex, cr4: hex, efer: hex, rip: hex, kernel_stack_top: hex }),
  ),
  memslots: v.array(
    v.looseObject({
      slot: count,
      gpa: hex,
      size: hex,
      flags: count,
      hva: hex,
      backing: v.string(),
      present_at_start: v.boolean(),
    }),
  ),
  tables: v.array(v.looseObject({ gpa: hex, level: count })),
  page_tables: v.record(v.string(), hex),
  memory: v.array(
    v.looseObject({
      gpa: hex,
      what: v.string(),
      hex: v.pipe(v.string(), v.regex(/^([0-9a-f]{2})*$/, 'bytes in hexadecimal')),
    }),
  ),
  steps: v.array(recordedStep),
});

const observed = v.looseObject({
  steps: v.array(
    v.looseObject({
      step: count,
      value: v.optional(hex),
      guest_faults: v.optional(v.array(v.looseObject({ cr2: hex, error_code: hex, rip: hex }))),
      mmio: v.optional(v.array(v.looseObject({ gpa: hex, len: count, value: hex, write: v.boolean() }))),
      dirty_gfns: v.optional(v.array(v.string())),
      guest_pt_changes: v.array(v.looseObject({ gpa: hex, old: hex, new: hex })),
      vm_stats: grown,
      vcpu_stats: v.array(grown),
    }),
  ),
});

const root = v.looseObject({ hpa: hex, pgd: hex });

const recordedPage = v.looseObject({
  sp: hex,
  gfn: hex,
  role: v.looseObject({ word: hex }),
  spt: hex,
  hpa: hex,
  unsync: count,
  root_count: count,
  unsync_children: count,
  write_flooding_count: count,
  valid_gen: count,
  parent_ptes: v.array(hex),
  entries: v.record(v.string(), v.union([hex, v.tuple([hex, hex])])),
});

const recordedState = v.looseObject({
  vcpus: v.array(
    v.looseObject({
      root,
      prev_roots: v.array(root),
      cpu_role: hex,
      root_role: v.looseObject({ word: hex }),
      pae_root: v.optional(v.looseObject({ va: hex, entries: v.array(hex) })),
      mmio_cache: v.looseObject({ gva: hex, gfn: hex, gen: hex }),
    }),
  ),
  mmu_valid_gen: count,
  n_used_mmu_pages: count,
  shadow_pages: v.array(recordedPage),
  memslots_generation: hex,
  slots: v.array(
    v.looseObject({
      id: count,
      rmap: v.nullable(v.array(v.looseObject({ level: count, gfn: hex, sptes: v.array(hex) }))),
      disallow_lpage: v.array(v.looseObject({ level: count, gfn: hex, count })),
      write_track: v.array(v.looseObject({ gfn: hex, count })),
      dirty_gfns: v.nullable(v.array(v.string())),
    }),
  ),
});

const state = v.looseObject({
  steps: v.array(v.looseObject({ step: count, state: recordedState })),
});

export type RecordedStep = v.InferOutput<typeof recordedStep>;
export type RecordedScenario = v.InferOutput<typeof recordedScenario>;
export type ObservedStep = v.InferOutput<typeof observed>['steps'][number];
export type RecordedPage = v.InferOutput<typeof recordedPage>;
export type RecordedState = v.InferOutput<typeof recordedState>;

export interface Recording {
  readonly scenario: RecordedScenario;
  readonly observed: v.InferOutput<typeof observed>;
  readonly state: v.InferOutput<typeof state>;
  readonly trace: string;
}

/** The texts of the four files. */
export interface RecordingTexts {
  readonly scenario: string;
  readonly observed: string;
  readonly state: string;
  readonly trace: string;
}

/** Sentences that say what is wrong with a file and where. */
export interface Problems {
  readonly problems: readonly string[];
}

function read<T>(file: string, schema: v.GenericSchema<unknown, T>, text: string): T | Problems {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    const why = error instanceof Error ? error.message : 'unreadable';
    return { problems: [`${file}: this is no JSON (${why}).`] };
  }
  const parsed = v.safeParse(schema, json, { abortEarly: true });
  if (parsed.success) return parsed.output;
  return {
    problems: parsed.issues.map(
      (issue) => `${file}: ${v.getDotPath(issue) ?? 'the whole'}: ${issue.message}.`,
    ),
  };
}

export const isProblems = (of: object): of is Problems => 'problems' in of;

/** The input of a recorded scenario alone, or what is wrong with it. */
export const parseScenario = (text: string): RecordedScenario | Problems =>
  read('scenario.json', recordedScenario, text);

/** A recording, or sentences that say what is wrong with its files and where. */
export function parseRecording(texts: RecordingTexts): Recording | Problems {
  const scenario = parseScenario(texts.scenario);
  const seen = read('observed.json', observed, texts.observed);
  const states = read('state.json', state, texts.state);
  if (isProblems(scenario) || isProblems(seen) || isProblems(states))
    return { problems: [scenario, seen, states].flatMap((of) => (isProblems(of) ? of.problems : [])) };
  return { scenario, observed: seen, state: states, trace: texts.trace };
}
