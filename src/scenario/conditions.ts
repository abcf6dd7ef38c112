/** Lines that are for some runs only: which conditions a run meets, and what is left of a text in it. */
import { applies, settingOf, type Settings } from '../core/settings.ts';
import type { OperationStatement, SettingTest, Statement } from './ast.ts';
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

/** The statements of a run: entries and operations whose conditions it does not meet are left out. */
export const statementsIn = (statements: readonly Statement[], chosen: Chosen): readonly Statement[] =>
  statements.flatMap((statement): readonly Statement[] => {
    if (statement.kind === 'operation') {
      const operation = operationIn(statement.operation, chosen);
      return operation === undefined ? [] : [{ ...statement, operation }];
    }
    return statement.kind !== 'map' && statement.kind !== 'entry'
      ? [statement]
      : meets(statement.when, chosen)
        ? [statement]
        : [];
  });

function operationIn(operation: OperationStatement, chosen: Chosen): OperationStatement | undefined {
  const { when = [], handler, meanwhile } = operation;
  if (!meets(when, chosen)) return undefined;
  const kept = (all: readonly OperationStatement[]): readonly OperationStatement[] =>
    all.flatMap((own) => operationIn(own, chosen) ?? []);
  return {
    ...operation,
    ...(handler === undefined ? {} : { handler: { ...handler, operations: kept(handler.operations) } }),
    ...(meanwhile === undefined
      ? {}
      : {
          meanwhile: meanwhile.flatMap((other) => {
            const [own] = kept([other.operation]);
            return own === undefined ? [] : [{ ...other, operation: own }];
          }),
        }),
  };
}

/** Every condition of a statement, those of indented lines included, with the line that it stands in. */
export function conditionsOf(
  statement: Statement,
): readonly { readonly when: readonly SettingTest[]; readonly line: Statement['line'] }[] {
  if (statement.kind === 'operation') return conditionsOfOperation(statement.operation);
  return 'when' in statement ? [statement] : [];
}

function conditionsOfOperation(operation: OperationStatement): ReturnType<typeof conditionsOf> {
  const { when = [], line, handler, meanwhile = [] } = operation;
  return [
    { when, line },
    ...(handler?.operations ?? []).flatMap(conditionsOfOperation),
    ...meanwhile.flatMap(({ operation: own }) => conditionsOfOperation(own)),
  ];
}

/** Lines of a text that a run leaves out, from 1; with an operation all that is indented below it. */
export const linesLeftOut = (
  statements: readonly Statement[],
  chosen: Chosen,
): readonly { readonly first: number; readonly last: number }[] =>
  statements.flatMap((statement) => {
    if (statement.kind === 'operation') return leftOutOf(statement.operation, chosen);
    const { line } = statement;
    return (statement.kind === 'map' || statement.kind === 'entry') && !meets(statement.when, chosen)
      ? [{ first: line.number, last: line.number }]
      : [];
  });

function leftOutOf(
  operation: OperationStatement,
  chosen: Chosen,
): readonly { readonly first: number; readonly last: number }[] {
  const { when = [], line, handler, meanwhile = [] } = operation;
  const others = meanwhile.map(({ operation: own }) => own);
  if (meets(when, chosen))
    return [...(handler?.operations ?? []), ...others].flatMap((own) => leftOutOf(own, chosen));
  const last = Math.max(line.number, handler?.lastLine ?? 0, ...others.map((own) => own.line.number));
  return [{ first: line.number, last }];
}
