/** Recorded programs of the catalogue: fetched, unpacked and put into the language when one is opened. */
import { loadRecording } from '../catalogue/recordings.ts';
import { openRecording } from '../conform/opened.ts';
import type { Original } from '../store/state.ts';

/** Undefined where there is none of that name, or where it cannot be had or read. */
export async function loadRecorded(id: string): Promise<Original | undefined> {
  try {
    const files = await loadRecording(id);
    if (files === undefined) return undefined;
    const recording = openRecording(files);
    return 'problems' in recording ? undefined : { id, text: recording.form.text, recording };
  } catch {
    return undefined;
  }
}
