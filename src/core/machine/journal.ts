/**
 * The journal: what happened to a world, step by step, in columns of typed arrays. A step has a kind, facts, the
 * places that it read and the changes that it made; steps stand in nested spans. Each change remembers the change
 * before it at the same place, so the value before is found without being stored twice.
 *
 * Measured in `npm run bench`; the aim is a million steps in 100 MB.
 */
import { must } from '../assert.ts';
import { CellColumn, IntColumn } from './columns.ts';
import {
  CALL_NAMES,
  CALLS,
  STEP_KINDS,
  STEPS,
  type CallFacts,
  type CallName,
  type FactType,
  type StepFacts,
  type StepKind,
} from './steps.ts';
import { TABLE_FORM, TABLE_NAMES, type TableName, type TableValues } from './tables.ts';

const NONE = 0xffff_ffff;
const ABSENT = 1;

export type AnyValue = TableValues[TableName] | undefined;
export type Facts = Readonly<Record<string, number | bigint | boolean | string>>;
type Schema = readonly (readonly [string, FactType])[];

/** By number of the kind; more come with engines that are loaded later. */
const STEP_SCHEMAS: Schema[] = [];
const KIND_CODE = new Map<StepKind, number>();
function learnKinds(): void {
  for (let code = STEP_SCHEMAS.length; code < STEP_KINDS.length; code += 1) {
    const kind = must(STEP_KINDS[code], 'a kind of step');
    STEP_SCHEMAS.push(Object.entries(STEPS[kind].facts));
    KIND_CODE.set(kind, code);
  }
}
learnKinds();

function codeOf(kind: StepKind): number {
  const known = KIND_CODE.get(kind);
  if (known !== undefined) return known;
  learnKinds();
  return must(KIND_CODE.get(kind), 'the code of a kind of step');
}
const CALL_SCHEMAS = CALL_NAMES.map((name) => Object.entries(CALLS[name]) as Schema);
const CALL_CODE = new Map(CALL_NAMES.map((name, code) => [name, code]));
const TABLE_CODE = new Map(TABLE_NAMES.map((name, code) => [name, code]));

/** A place whose value can change: a table and a key in it. */
export interface Place {
  readonly table: TableName;
  readonly key: number | string;
}

export class Journal {
  private readonly kinds = new IntColumn('u8');
  private readonly vcpus = new IntColumn('u8');
  private readonly spans = new IntColumn('u32');
  private readonly factsAt = new IntColumn('u32');
  private readonly readsAt = new IntColumn('u32');
  private readonly changesAt = new IntColumn('u32');
  private readonly facts = new CellColumn();
  private readonly reads = new IntColumn('u32');

  private readonly changePlace = new IntColumn('u32');
  private readonly changePrevious = new IntColumn('u32');
  private readonly changeAbsent = new IntColumn('u8');
  private readonly changeValue = new CellColumn();

  private readonly spanName = new IntColumn('u8');
  private readonly spanParent = new IntColumn('u32');
  private readonly spanFirst = new IntColumn('u32');
  private readonly spanEnd = new IntColumn('u32');
  private readonly spanFactsAt = new IntColumn('u32');

  private readonly placeTable = new IntColumn('u8');
  private readonly placeKey: (number | string)[] = [];
  private readonly placeLast = new IntColumn('u32');
  private readonly placeIds = TABLE_NAMES.map(() => new Map<number | string, number>());
  /** Values before the first change, where the world was not empty when the journal began. */
  private readonly base = new Map<number, AnyValue>();
  private readonly records: unknown[] = [];
  private readonly texts: string[] = [];
  private readonly textIds = new Map<string, number>();

  get steps(): number {
    return this.kinds.length;
  }
  get changes(): number {
    return this.changePlace.length;
  }
  get spanCount(): number {
    return this.spanName.length;
  }

  // Writing. Only the machine calls these.

  addStep<K extends StepKind>(kind: K, facts: StepFacts<K>, span: number, vcpu: number): void {
    const code = codeOf(kind);
    this.kinds.push(code);
    this.vcpus.push(vcpu);
    this.spans.push(span);
    this.factsAt.push(this.facts.length);
    this.readsAt.push(this.reads.length);
    this.changesAt.push(this.changePlace.length);
    this.addFacts(STEP_SCHEMAS[code] as Schema, facts);
  }

  addRead(table: TableName, key: number | string): void {
    this.reads.push(this.place(table, key));
  }

  addChange(table: TableName, key: number | string, before: AnyValue, after: AnyValue): void {
    const place = this.place(table, key);
    const previous = this.placeLast.get(place);
    if (previous === NONE && before !== undefined && !this.base.has(place)) this.base.set(place, before);
    this.placeLast.set(place, this.changePlace.length);
    this.changePlace.push(place);
    this.changePrevious.push(previous);
    this.changeAbsent.push(after === undefined ? ABSENT : 0);
    if (after === undefined) this.changeValue.pushNumber(0);
    else if (typeof after === 'bigint') this.changeValue.pushWord(after);
    else if (typeof after === 'number') this.changeValue.pushNumber(after);
    else this.changeValue.pushNumber(this.records.push(after) - 1);
  }

  openSpan<K extends CallName>(name: K, facts: CallFacts<K>, parent: number): number {
    const span = this.spanName.length;
    const code = must(CALL_CODE.get(name), name);
    this.spanName.push(code);
    this.spanParent.push(parent < 0 ? NONE : parent);
    this.spanFirst.push(this.kinds.length);
    this.spanEnd.push(NONE);
    this.spanFactsAt.push(this.facts.length);
    this.addFacts(CALL_SCHEMAS[code] as Schema, facts);
    return span;
  }

  closeSpan(span: number): void {
    this.spanEnd.set(span, this.kinds.length);
  }

  // Reading.

  kind(step: number): StepKind {
    return STEP_KINDS[this.kinds.get(step)] as StepKind;
  }
  vcpu(step: number): number {
    return this.vcpus.get(step);
  }
  spanOf(step: number): number {
    return this.spans.get(step);
  }
  factsOf(step: number): Facts {
    return this.readFacts(STEP_SCHEMAS[this.kinds.get(step)] as Schema, this.factsAt.get(step));
  }
  readsOf(step: number): readonly Place[] {
    const end = step + 1 < this.steps ? this.readsAt.get(step + 1) : this.reads.length;
    const places: Place[] = [];
    for (let at = this.readsAt.get(step); at < end; at += 1) places.push(this.placeAt(this.reads.get(at)));
    return places;
  }
  /** Number of changes made before `step`; `step` may be the number of steps. */
  changesBefore(step: number): number {
    return step < this.steps ? this.changesAt.get(step) : this.changePlace.length;
  }
  changedPlace(change: number): Place {
    return this.placeAt(this.changePlace.get(change));
  }
  valueAfter(change: number): AnyValue {
    if (this.changeAbsent.get(change) === ABSENT) return undefined;
    const form = TABLE_FORM[TABLE_NAMES[this.placeTable.get(this.changePlace.get(change))] as TableName];
    if (form === 'word') return this.changeValue.word(change);
    const cell = this.changeValue.number(change);
    return form === 'number' ? cell : (this.records[cell] as AnyValue);
  }
  valueBefore(change: number): AnyValue {
    const previous = this.changePrevious.get(change);
    return previous === NONE ? this.base.get(this.changePlace.get(change)) : this.valueAfter(previous);
  }
  /** The last change at a place, or undefined; the changes before it follow by `previousChange`. */
  lastChange(table: TableName, key: number | string): number | undefined {
    const place = this.placeIds[must(TABLE_CODE.get(table), table)]?.get(key);
    if (place === undefined) return undefined;
    const change = this.placeLast.get(place);
    return change === NONE ? undefined : change;
  }
  previousChange(change: number): number | undefined {
    const previous = this.changePrevious.get(change);
    return previous === NONE ? undefined : previous;
  }
  /** The step that made a change. */
  stepOfChange(change: number): number {
    let low = 0;
    let high = this.steps - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.changesAt.get(middle) <= change) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  callName(span: number): CallName {
    return CALL_NAMES[this.spanName.get(span)] as CallName;
  }
  spanFacts(span: number): Facts {
    return this.readFacts(CALL_SCHEMAS[this.spanName.get(span)] as Schema, this.spanFactsAt.get(span));
  }
  parentOf(span: number): number | undefined {
    const parent = this.spanParent.get(span);
    return parent === NONE ? undefined : parent;
  }
  /** First step of a span and the step after its last. */
  extent(span: number): { readonly first: number; readonly end: number } {
    const end = this.spanEnd.get(span);
    return { first: this.spanFirst.get(span), end: end === NONE ? this.steps : end };
  }

  /** Bytes held: columns, and the side tables at a rough 160 bytes a record and 60 a place. */
  bytes(): { readonly columns: number; readonly sideTables: number } {
    const columns = [
      this.kinds,
      this.vcpus,
      this.spans,
      this.factsAt,
      this.readsAt,
      this.changesAt,
      this.facts,
      this.reads,
      this.changePlace,
      this.changePrevious,
      this.changeAbsent,
      this.changeValue,
      this.spanName,
      this.spanParent,
      this.spanFirst,
      this.spanEnd,
      this.spanFactsAt,
      this.placeTable,
      this.placeLast,
    ].reduce((sum, column) => sum + column.bytes(), 0);
    return { columns, sideTables: this.records.length * 160 + this.placeKey.length * 60 };
  }

  private place(table: TableName, key: number | string): number {
    const code = must(TABLE_CODE.get(table), table);
    const ids = this.placeIds[code] as Map<number | string, number>;
    const known = ids.get(key);
    if (known !== undefined) return known;
    const place = this.placeKey.length;
    ids.set(key, place);
    this.placeKey.push(key);
    this.placeTable.push(code);
    this.placeLast.push(NONE);
    return place;
  }

  private placeAt(place: number): Place {
    return {
      table: TABLE_NAMES[this.placeTable.get(place)] as TableName,
      key: must(this.placeKey[place], 'place'),
    };
  }

  private addFacts(schema: Schema, facts: Facts): void {
    for (const [name, type] of schema) {
      const value = facts[name];
      if (type === 'w') this.facts.pushWord(value as bigint);
      else if (type === 's') this.facts.pushNumber(this.textId(value as string));
      else this.facts.pushNumber(Number(value));
    }
  }

  private readFacts(schema: Schema, start: number): Facts {
    const facts: Record<string, number | bigint | boolean | string> = {};
    schema.forEach(([name, type], offset) => {
      const at = start + offset;
      if (type === 'w') facts[name] = this.facts.word(at);
      else if (type === 's') facts[name] = must(this.texts[this.facts.number(at)], 'text');
      else facts[name] = type === 'b' ? this.facts.number(at) === 1 : this.facts.number(at);
    });
    return facts;
  }

  private textId(text: string): number {
    const known = this.textIds.get(text);
    if (known !== undefined) return known;
    this.texts.push(text);
    this.textIds.set(text, this.texts.length - 1);
    return this.texts.length - 1;
  }
}
