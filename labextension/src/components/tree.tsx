/** A tree of two levels after the ARIA Authoring Practices: one stop for Tab, arrows within. */
import * as React from 'react';

export interface ITreeItem {
  /** Unlike any other of the tree. */
  readonly key: string;
  readonly level: 1 | 2;
  /** Undefined where there is nothing to open. */
  readonly isOpen?: boolean;
  /** What is typed to jump here. */
  readonly text: string;
  /** What is read out, if that is not what stands there. */
  readonly label?: string;
  readonly className?: string;
  readonly data?: Readonly<Record<`data-${string}`, string>>;
  readonly content: React.ReactNode;
  /** Enter, Space and a click. */
  readonly onActivate: () => unknown;
  readonly onFocus?: () => unknown;
}

export interface ITreeProps {
  readonly label: string;
  readonly items: readonly ITreeItem[];
}

export function Tree({ label, items }: ITreeProps): JSX.Element {
  const root = React.useRef<HTMLDivElement>(null);
  const [current, setCurrent] = React.useState<string | null>(null);
  const at = Math.max(
    0,
    items.findIndex(item => item.key === current)
  );

  const go = (index: number): void => {
    const item = items[Math.min(Math.max(index, 0), items.length - 1)];
    if (item) {
      setCurrent(item.key);
      const node = root.current?.children[items.indexOf(item)];
      (node as HTMLElement | undefined)?.focus();
    }
  };

  const onKeyDown = (event: React.KeyboardEvent): void => {
    if (event.target instanceof HTMLElement && event.target.getAttribute('role') !== 'treeitem') {
      return; // a button within an item has keys of its own
    }
    const index = findMove(event, items, at);
    if (index !== null) {
      event.preventDefault();
      event.stopPropagation();
      go(index);
    } else if (isActivating(event, items[at])) {
      event.preventDefault();
      items[at]?.onActivate();
    }
  };

  return (
    <div ref={root} className="csh-Tree" role="tree" aria-label={label} onKeyDown={onKeyDown}>
      {items.map((item, index) => (
        <div
          key={item.key}
          role="treeitem"
          aria-label={item.label}
          aria-level={item.level}
          aria-expanded={item.isOpen}
          aria-selected={index === at}
          className={`csh-TreeItem csh-TreeItem-${item.level} ${item.className ?? ''}`}
          tabIndex={index === at ? 0 : -1}
          onClick={() => {
            setCurrent(item.key);
            item.onActivate();
          }}
          onFocus={() => {
            setCurrent(item.key);
            item.onFocus?.();
          }}
          onContextMenu={() => {
            setCurrent(item.key);
            item.onFocus?.();
          }}
          {...item.data}
        >
          {item.content}
        </div>
      ))}
    </div>
  );
}

/** Where a key leads, null where it leads nowhere else. */
function findMove(event: React.KeyboardEvent, items: readonly ITreeItem[], at: number): number | null {
  const item = items[at];
  switch (event.key) {
    case 'ArrowDown':
      return at + 1;
    case 'ArrowUp':
      return at - 1;
    case 'Home':
      return 0;
    case 'End':
      return items.length - 1;
    case 'ArrowRight':
      return item?.isOpen ? at + 1 : null;
    case 'ArrowLeft':
      return item?.level === 2 ? items.slice(0, at).map(one => one.level).lastIndexOf(1) : null;
    default:
      return findTyped(event, items, at);
  }
}

function findTyped(event: React.KeyboardEvent, items: readonly ITreeItem[], at: number): number | null {
  const isText = event.key.length === 1 && event.key !== ' ' && !event.ctrlKey && !event.altKey && !event.metaKey;
  if (!isText) {
    return null;
  }
  const order = [...items.slice(at + 1), ...items.slice(0, at + 1)];
  const found = order.find(one => one.text.toLowerCase().startsWith(event.key.toLowerCase()));
  return found ? items.indexOf(found) : null;
}

function isActivating(event: React.KeyboardEvent, item: ITreeItem | undefined): boolean {
  switch (event.key) {
    case 'Enter':
    case ' ':
      return true;
    case 'ArrowRight':
      return item?.isOpen === false;
    case 'ArrowLeft':
      return item?.isOpen === true;
    default:
      return false;
  }
}
