/** What a line may expect: counters, faults, what was read, rules broken and harm done. */
import { BOUNDS } from '../core/bounds.ts';
import { COUNTERS, isCounterName } from '../core/counters.ts';
import type { Expectation } from './ast.ts';
import { nearest, type Cursor } from './cursor.ts';

const CLAIMS = ['violation', 'harm', 'fault', 'host-fault'] as const;
const DENIED = [...CLAIMS, 'dirty'] as const;

export function readExpectation(cursor: Cursor): Expectation {
  if (cursor.atPair()) return readClaims(cursor);
  if (cursor.take('no')) {
    const denied = cursor.oneOf(DENIED, 'violation, harm, fault, host-fault or dirty');
    return denied === 'dirty' ? { kind: 'dirty', frames: [] } : { kind: `no-${denied}` };
  }
  const claim = cursor.oneOf([...CLAIMS, 'no'], 'a counter, violation, harm, fault, host-fault or no');
  switch (claim) {
    case 'harm':
      return {
        kind: 'harm',
        harm: cursor.oneOf(['stale-read', 'stale-write', 'lost-write'], 'a kind of harm'),
      };
    case 'fault':
    case 'host-fault':
      return { kind: claim };
    case 'violation':
    case 'no':
      return { kind: 'violation', rule: cursor.word('a rule', 'Write: expect violation INV-6.').text };
  }
}

/** `read=0x1`, `fault=0x5`, `host-fault=0x181`, `physical=0x21010`, `dirty=0x20,0x21`: about what came last; one a line. */
function readResult(cursor: Cursor): Expectation | undefined {
  const word = cursor.peek()?.text;
  if (word === 'dirty') {
    cursor.next();
    cursor.equals();
    return { kind: word, frames: cursor.numbers('guest frames') };
  }
  if (word !== 'read' && word !== 'fault' && word !== 'host-fault' && word !== 'physical') return undefined;
  cursor.next();
  cursor.equals();
  if (word === 'read') return { kind: word, value: cursor.number('the value') };
  if (word === 'physical') return { kind: word, address: cursor.number('a physical address') };
  return { kind: word, code: cursor.number('the code of the fault') };
}

function readClaims(cursor: Cursor): Expectation {
  const result = readResult(cursor);
  if (result !== undefined) return result;
  const counters: { name: string; vcpu?: number; value: number }[] = [];
  while (cursor.atPair()) {
    const token = cursor.next();
    const [name = '', vcpu] = (token?.text ?? '').split('@');
    if (!isCounterName(name)) {
      const near = nearest(
        name,
        COUNTERS.map((counter) => counter.name),
      );
      cursor.note(token, {
        message: `${JSON.stringify(name)} is no counter`,
        remedy:
          near === undefined
            ? `Use one of: ${COUNTERS.map((c) => c.name).join(', ')}.`
            : `Did you mean ${near}?`,
        ...(near === undefined ? {} : { fix: near }),
      });
    }
    cursor.equals();
    const value = cursor.small('the count', { min: 0, max: BOUNDS.stepsPerRun * 100 });
    counters.push(vcpu === undefined ? { name, value } : { name, vcpu: Number(vcpu) || 0, value });
  }
  return { kind: 'counters', counters };
}
