/** The kernel's own trace beside the model's steps: which line says what which step does. */
import type { OperationRecord } from '../core/operations/recorder.ts';
import type { Timeline } from '../timeline/timeline.ts';
import { agrees, compareEvents, pairEvents, type EventPair } from './events.ts';
import type { OpenedRecording } from './opened.ts';
import type { Difference } from './state.ts';
import { readTrace, type TracedStep, type TraceLine } from './trace-text.ts';

export interface PairedLine extends TraceLine {
  /** Whether the model says the same thing in a step of its own; of other lines it has nothing to say. */
  readonly compared: boolean;
  /** The model's step that gave the same event. */
  readonly step?: number;
}

/** One recorded step. */
export interface TracePart {
  readonly lines: readonly PairedLine[];
  /** Where the model says something else than the kernel, of each vCPU the first. */
  readonly differences: readonly Difference[];
}

export class KernelTrace {
  private readonly timeline: Timeline;
  private readonly recording: OpenedRecording;
  private readonly traced: ReadonlyMap<number, TracedStep>;
  private readonly parts = new Map<number, TracePart>();

  constructor(timeline: Timeline, recording: OpenedRecording) {
    this.timeline = timeline;
    this.recording = recording;
    this.traced = readTrace(recording.trace);
  }

  /** The kernel's version, as it names itself. */
  get kernel(): string {
    return this.recording.scenario.kernel;
  }

  /** Number of recorded steps. */
  get steps(): number {
    return this.recording.scenario.steps.length;
  }

  /** What the kernel did in an operation of the run. */
  partOf(operation: OperationRecord): TracePart {
    const known = this.parts.get(operation.number) ?? this.paired(operation);
    this.parts.set(operation.number, known);
    return known;
  }

  private paired({ number, firstStep, endStep }: OperationRecord): TracePart {
    const { scenario } = this.recording;
    const traced = this.traced.get(scenario.steps[number - 1]?.step ?? -1);
    if (traced === undefined) return { lines: [], differences: [] };
    const of = { traced, vcpus: scenario.vcpus.length, first: firstStep, end: endStep };
    const steps = stepsByLine(pairEvents(this.timeline, of));
    const compared = new Set(traced.events.map(({ line }) => line));
    return {
      lines: traced.lines.map((line) => {
        const step = steps.get(line.line);
        return { ...line, compared: compared.has(line.line), ...(step === undefined ? {} : { step }) };
      }),
      differences: compareEvents(this.timeline, of),
    };
  }
}

/** After the first pair of a vCPU that differs nothing says which belongs to which. */
function stepsByLine(pairs: readonly EventPair[]): ReadonlyMap<number, number> {
  const steps = new Map<number, number>();
  const astray = new Set<number>();
  for (const pair of pairs) {
    const { event, model, vcpu } = pair;
    if (!agrees(pair)) astray.add(vcpu);
    else if (event !== undefined && model !== undefined && !astray.has(vcpu))
      steps.set(event.line, model.step);
  }
  return steps;
}
