/** A recorded scenario as it is opened to be looked at: its program, the text of that, and the kernel's trace. */
import { isProblems, parseScenario, type Problems, type RecordedScenario } from './recording.ts';
import { textForm, type TextForm } from './text-form.ts';

export interface OpenedRecording {
  readonly scenario: RecordedScenario;
  readonly form: TextForm;
  /** The text of trace.txt. */
  readonly trace: string;
}

export function openRecording(files: {
  readonly scenario: string;
  readonly trace: string;
}): OpenedRecording | Problems {
  const scenario = parseScenario(files.scenario);
  return isProblems(scenario) ? scenario : { scenario, form: textForm(scenario), trace: files.trace };
}
