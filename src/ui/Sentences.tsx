/** The two sentences of the caption: what happened, large, and why, smaller. */
import { Terms } from './Terms.tsx';

export function Sentences({ what, why }: { what: string; why: string }): React.JSX.Element {
  return (
    <>
      <p className="what">
        <Terms>{what}</Terms>
      </p>
      <p className="why">
        <Terms>{why}</Terms>
      </p>
    </>
  );
}
