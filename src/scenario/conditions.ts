/** Lines that are for some runs only: which conditions a run meets, and what is left of a text in it. */
import { applies, settingOf, type Settings } from '../core/settings.ts';
import type { Line, OperationStatement, SettingTest, Statement } from './ast.ts';
import { isOwnName } from './own-choices.ts';

/** What is chosen in a run: its settings, and the values of the text's own choices. */
export interface Chosen {
  readonly settings: Settings;
  readonly picks: Readonly<Record<string, string>>;
}

export const passes = ({ values, negated }: SettingTest, value: string): boolean =>
  values.includes(value) !== negated;

/** Whether a run is meant. A setting that means nothing there meets no condition. */
export const meets = (when: readonly SettingTest[], { settings, picks }: Chosen): boolean =>
  when.every((test) => {
    if (isOwnName(test.name)) return passes(test, picks[test.name] ?? '');
    const setting = settingOf(test.name);
    return setting !== undefined && applies(setting, settings) && passes(test, settings[setting.name]);
  });

/** Whether a run has a statement. What is indented below an operation is asked by itself. */
export function isIn(statement: Statement, chosen: Chosen): boolean {
  const { when = [] } = statement.kind === 'operation' ? statement.operation : conditional(statement);
  return meets(when, chosen);
}

const conditional = (statement: Statement): { readonly when?: readonly SettingTest[] } =>
  'when' in statement ? statement : {};

/** Every condition of a statement, those of indented lines included, with the line that it stands in. */
export function conditionsOf(
  statement: Statement,
): readonly { readonly when: readonly SettingTest[]; readonly line: Line; readonly last?: number }[] {
  if (statement.kind === 'operation') return conditionsOfOperation(statement.operation);
  return 'when' in statement ? [statement] : [];
}

function conditionsOfOperation(operation: OperationStatement): ReturnType<typeof conditionsOf> {
  const { when = [], line, handler, meanwhile = [] } = operation;
  const last = Math.max(
    line.number,
    handler?.lastLine ?? 0,
    ...meanwhile.map(({ operation: own }) => own.line.number),
  );
  return [
    { when, line, last },
    ...(handler?.operations ?? []).flatMap(conditionsOfOperation),
    ...meanwhile.flatMap(({ operation: own }) => conditionsOfOperation(own)),
  ];
}

/** Lines of a text that a run leaves out, from 1; what is indented below an operation goes with it. */
export const linesLeftOut = (statements: readonly Statement[], chosen: Chosen): ReadonlySet<number> =>
  new Set(
    statements
      .filter(({ kind }) => kind === 'map' || kind === 'entry' || kind === 'operation')
      .flatMap(conditionsOf)
      .flatMap(({ when, line, last = line.number }) =>
        meets(when, chosen)
          ? []
          : Array.from({ length: last - line.number + 1 }, (_, at) => line.number + at),
      ),
  );
