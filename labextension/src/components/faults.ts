/** What is wrong with a text, below the line that it is about: for the editor that JupyterLab brings. */
import { type Extension, StateEffect, StateField, type Text } from '@codemirror/state';
import { Decoration, type DecorationSet, EditorView, WidgetType } from '@codemirror/view';
import type { IFault } from '../reading';

const setFault = StateEffect.define<IFault | null>();

const faults = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update: (shown, transaction) => {
    let now = shown.map(transaction.changes);
    for (const effect of transaction.effects) {
      if (effect.is(setFault)) {
        now = effect.value ? decorate(transaction.state.doc, effect.value) : Decoration.none;
      }
    }
    return now;
  },
  provide: field => EditorView.decorations.from(field)
});

/** What an editor needs to show faults. */
export const FAULTS: Extension = faults;

/** Show a fault in the editor within a node, or none. */
export function showFault(host: HTMLElement, fault: IFault | null): void {
  EditorView.findFromDOM(host)?.dispatch({ effects: setFault.of(fault) });
}

/** Put the cursor where a fault is. */
export function goToFault(host: HTMLElement, fault: IFault): void {
  const view = EditorView.findFromDOM(host);
  if (view) {
    const line = view.state.doc.line(clamp(fault.line, view.state.doc));
    const anchor = Math.min(line.to, line.from + Math.max(0, fault.column - 1));
    view.dispatch({ selection: { anchor }, effects: EditorView.scrollIntoView(anchor, { y: 'center' }) });
    view.focus();
  }
}

function decorate(text: Text, fault: IFault): DecorationSet {
  const line = text.line(clamp(fault.line, text));
  return Decoration.set([
    Decoration.line({ class: 'csh-FaultLine' }).range(line.from),
    Decoration.widget({ widget: new FaultWidget(fault.message), block: true, side: 1 }).range(line.to)
  ]);
}

function clamp(line: number, text: Text): number {
  return Math.min(Math.max(1, line), text.lines);
}

class FaultWidget extends WidgetType {
  constructor(private readonly _message: string) {
    super();
  }

  override eq(other: FaultWidget): boolean {
    return other._message === this._message;
  }

  override toDOM(): HTMLElement {
    const node = document.createElement('div');
    node.className = 'csh-Fault';
    // It is read out where it stands above the editor.
    node.setAttribute('aria-hidden', 'true');
    node.textContent = this._message;
    return node;
  }
}
