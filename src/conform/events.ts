import type { Machine } from '../core/machine/machine.ts';
import type { Difference } from './state.ts';
export const compareEvents = (_m: Machine, _of: { trace: string; step: number; first: number; end: number }): readonly Difference[] => [];
