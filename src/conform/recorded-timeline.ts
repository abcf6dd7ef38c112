/** The timeline of a recorded run: each recorded step is an operation, at the line that the text has for it. */
import { must } from '../core/assert.ts';
import { audit } from '../core/audit/audit.ts';
import { judgingOf } from '../core/audit/judging.ts';
import type { Machine } from '../core/machine/machine.ts';
import type { Program } from '../core/operations/operation.ts';
import { stopOf, type OperationRecord, type Stop } from '../core/operations/recorder.ts';
import { gfn } from '../core/quantities.ts';
import { Checkpoints, Timeline } from '../timeline/timeline.ts';
import { frameOf } from './moved.ts';
import type { OpenedRecording } from './opened.ts';
import { RecordedRun, type RanStep } from './recorded-run.ts';
import { settingsOf } from './recorded-vm.ts';
import { recordedTables } from './text-tables.ts';

/** A run in progress: the caller advances it by recorded steps. */
export class RecordedTimeline {
  private readonly run: RecordedRun;
  private readonly recording: OpenedRecording;
  private readonly program: Program;
  private readonly operations: OperationRecord[];
  private readonly checkpoints = new Checkpoints();
  private stop: Stop | undefined;

  /** `planned`: the program of the text, for what is said of it; the recorded one is what runs. */
  constructor(planned: Program, recording: OpenedRecording, options: { readonly stepsPerRun?: number } = {}) {
    const { scenario } = recording;
    this.recording = recording;
    const judging = must(judgingOf(settingsOf(scenario)), 'a machine that is judged');
    this.run = new RecordedRun(scenario, { ...options, audit, wrote: judging.witness });
    const [first] = scenario.vcpus;
    this.program = {
      ...planned,
      settings: this.machine.settings,
      tables: recordedTables(scenario),
      root: gfn(Number(frameOf(BigInt(first?.cr3 ?? '0x0')))),
    };
    this.operations = [
      {
        section: 'setup',
        number: 0,
        text: 'setup',
        vcpu: 0,
        line: 0,
        lastLine: 0,
        firstStep: 0,
        endStep: this.run.beginStep - 1,
      },
    ];
    this.checkpoints.offer(this.machine);
  }

  get done(): boolean {
    return this.stop !== undefined || this.run.done;
  }

  private get machine(): Machine {
    return this.run.m;
  }

  advance(): void {
    const firstStep = this.machine.steps;
    let ran: RanStep | undefined;
    try {
      ran = this.run.advance();
    } catch (error) {
      this.machine.closeAll();
      this.stop = stopOf(this.machine, error);
    }
    this.operations.push(this.operationOf(firstStep, ran));
    this.checkpoints.offer(this.machine);
  }

  private operationOf(firstStep: number, ran: RanStep | undefined): OperationRecord {
    const number = this.operations.length;
    const place = this.recording.form.steps[number - 1] ?? { line: 0, lastLine: 0, text: '' };
    return {
      section: 'body',
      number,
      ...place,
      vcpu: this.recording.scenario.steps[number - 1]?.vcpu ?? 0,
      firstStep,
      endStep: this.machine.steps,
      ...(ran?.dirty === undefined ? {} : { dirty: ran.dirty }),
    };
  }

  timeline(): Timeline {
    const { machine, program, operations, stop, checkpoints } = this;
    return new Timeline(
      { machine, program, operations, beginStep: this.run.beginStep, stop },
      checkpoints.taken,
    );
  }
}
