/** Who may do what with an environment, and giving and taking it. */
import type { TranslationBundle } from '@jupyterlab/translation';
import { closeIcon, HTMLSelect, InputGroup } from '@jupyterlab/ui-components';
import * as React from 'react';
import type { Environment, IEnvironments, Member, Role, SubjectKind } from '../tokens';
import { sayWhoShares } from '../words';
import { Button, IconButton, Notice, When } from './common';

export interface IShareProps {
  readonly model: IEnvironments;
  readonly environment: Environment;
  readonly trans: TranslationBundle;
}

interface IMembers {
  readonly here: readonly Member[];
  readonly above: readonly Member[];
}

export function Share(props: IShareProps): JSX.Element {
  const { environment, model, trans } = props;
  const [namespace, name] = [environment.namespace.name, environment.name];
  const mayRead = model.may('namespace-role-mapping::read', namespace, name);
  const mayChange = model.may('namespace-role-mapping::update', namespace, name);
  const [members, setMembers] = React.useState<IMembers | null>(null);
  const [problem, setProblem] = React.useState<Error | null>(null);

  const attempt = React.useCallback(
    async (act: () => Promise<unknown>): Promise<void> => {
      try {
        await act();
        const [here, above] = await Promise.all([
          model.api.members(namespace, name),
          model.may('namespace-role-mapping::read', namespace) ? model.api.members(namespace) : []
        ]);
        setMembers({ here, above });
        setProblem(null);
      } catch (error) {
        setProblem(error as Error);
      }
    },
    [model, namespace, name]
  );
  React.useEffect(() => {
    if (mayRead) {
      void attempt(async () => undefined);
    }
  }, [attempt, mayRead]);

  if (!mayRead) {
    const who = sayWhoShares(environment.namespace, trans);
    return <p className="csh-Hint">{trans.__('You may use it. Who else may, only those know who may change it: ask %1.', who)}</p>;
  }
  return (
    <>
      {problem && <Notice kind="bad">{problem.message}</Notice>}
      {members && (
        <table className="csh-Table">
          <thead>
            <tr>
              <th scope="col">{trans.__('Who')}</th>
              <th scope="col">{trans.__('May')}</th>
              <th scope="col">{trans.__('Since')}</th>
              <th scope="col">
                <span className="csh-Hidden">{trans.__('Take back')}</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {members.above.map((one, index) => (
              <Row key={`above ${index}`} member={one} where={trans.__('in the whole namespace')} trans={trans} />
            ))}
            {members.here.map((one, index) => (
              <Row
                key={`here ${index}`}
                member={one}
                trans={trans}
                {...(mayChange && one.id != null
                  ? { onRevoke: () => attempt(() => model.api.revoke(one.id!, namespace, name)) }
                  : {})}
              />
            ))}
          </tbody>
        </table>
      )}
      {mayChange ? (
        <Give
          trans={trans}
          onGive={(subject, who, role) =>
            attempt(() => model.api.grant({ subject, role, ...(who ? { name: who } : {}) }, namespace, name))
          }
        />
      ) : (
        <p className="csh-Hint">{trans.__('Sharing it is for %1.', sayWhoShares(environment.namespace, trans))}</p>
      )}
    </>
  );
}

function Row(props: {
  readonly member: Member;
  readonly where?: string;
  readonly onRevoke?: () => unknown;
  readonly trans: TranslationBundle;
}): JSX.Element {
  const { member, onRevoke, trans, where } = props;
  const who = sayMember(member, trans);
  return (
    <tr>
      <td>
        {who} {where && <span className="csh-Dim">{where}</span>}
      </td>
      <td>{sayRole(member.role, trans)}</td>
      <td>{member.created_on ? <When time={member.created_on} /> : ''}</td>
      <td>
        {onRevoke && <IconButton icon={closeIcon} label={trans.__('Take the role of %1 back', who)} onClick={onRevoke} />}
      </td>
    </tr>
  );
}

const ROLES: readonly Role[] = ['viewer', 'developer', 'admin'];
const SUBJECTS: readonly SubjectKind[] = ['user', 'group', 'authenticated'];

function Give(props: {
  readonly onGive: (subject: SubjectKind, name: string, role: Role) => Promise<void>;
  readonly trans: TranslationBundle;
}): JSX.Element {
  const { onGive, trans } = props;
  const [subject, setSubject] = React.useState<SubjectKind>('user');
  const [role, setRole] = React.useState<Role>('viewer');
  const [name, setName] = React.useState('');
  const hasName = subject === 'user' || subject === 'group';
  return (
    <form
      className="csh-Give"
      onSubmit={event => {
        event.preventDefault();
        void onGive(subject, hasName ? name.trim() : '', role).then(() => setName(''));
      }}
    >
      <HTMLSelect
        aria-label={trans.__('Kind of who gets a role')}
        value={subject}
        onChange={event => setSubject(event.target.value as SubjectKind)}
        options={SUBJECTS.map(value => ({ value, label: saySubject(value, trans) }))}
      />
      {hasName && (
        <InputGroup
          type="text"
          aria-label={trans.__('Name on the Hub')}
          placeholder={trans.__('Name on the Hub')}
          value={name}
          onChange={event => setName(event.target.value)}
        />
      )}
      <HTMLSelect
        aria-label={trans.__('What they may')}
        value={role}
        onChange={event => setRole(event.target.value as Role)}
        options={ROLES.map(value => ({ value, label: sayRole(value, trans) }))}
      />
      <Button
        accept
        label={trans.__('Share')}
        disabled={hasName && !name.trim()}
        onClick={() => onGive(subject, hasName ? name.trim() : '', role).then(() => setName(''))}
      />
    </form>
  );
}

function sayRole(role: Role, trans: TranslationBundle): string {
  const words: Record<Role, string> = {
    viewer: trans.__('use it'),
    developer: trans.__('change it'),
    admin: trans.__('change, share and delete it')
  };
  return words[role];
}

function saySubject(subject: SubjectKind, trans: TranslationBundle): string {
  const words: Record<SubjectKind, string> = {
    user: trans.__('User'),
    group: trans.__('Group'),
    authenticated: trans.__('Everybody on the Hub'),
    anyone: trans.__('Everybody, logged in or not')
  };
  return words[subject];
}

function sayMember(member: Member, trans: TranslationBundle): string {
  if (member.subject === 'user') {
    return member.name ?? trans.__('a user who is gone');
  }
  return member.subject === 'group'
    ? trans.__('group %1', member.name ?? '')
    : saySubject(member.subject, trans);
}
