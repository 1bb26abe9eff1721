"""Who may do what, and whose objects a caller sees: the one place that decides, by the context of a call.

Roles are those of the action table's rows. Owners have what is theirs; an Administrator, and the mesh's own work, everything.
What data may be seen besides is said by the sources themselves (``access``) and decided by the catalog.
"""
from __future__ import annotations

from collections.abc import Sequence

from shared.kernel.context import Context
from shared.kernel.errors import Denied

SCIENTIST = "DataScientist"
DEVELOPER = "ApplicationDeveloper"
ENGINEER = "DataEngineer"
ADMINISTRATOR = "Administrator"
ROLES = (SCIENTIST, DEVELOPER, ENGINEER, ADMINISTRATOR)

EVERYBODY = ROLES
# Who asks for data, and whose the requests, references and instances are.
USERS = (SCIENTIST, DEVELOPER, ADMINISTRATOR)
# Who brings data in.
ENGINEERS = (ENGINEER, ADMINISTRATOR)


def sees_all(context: Context) -> bool:
    """Whether the objects of every owner are there for this caller."""
    return context.mesh or ADMINISTRATOR in context.roles


def visible_to(context: Context) -> str | None:
    """Whose objects are there for this caller: an owner's, None for everybody's. Others' are as if they did not exist."""
    return None if sees_all(context) else context.owner


def visible_to_engineers(context: Context) -> str | None:
    """The same of what a DataEngineer sees of every owner."""
    return None if ENGINEER in context.roles else visible_to(context)


def may(context: Context, roles: Sequence[str]) -> bool:
    """Whether one of the caller's roles is among those of a row."""
    return context.mesh or not set(context.roles).isdisjoint(roles)


def either(roles: Sequence[str]) -> str:
    """Roles of which one will do, as a part of a sentence."""
    return roles[0] if len(roles) == 1 else f"{', '.join(roles[:-1])} or {roles[-1]}"


def check_role(context: Context, roles: Sequence[str], what: str) -> None:
    """Refuse what needs a role that the caller does not have.

    Raises:
        Denied: ``denied``, naming the roles that may; ``extra`` has them under ``roles``.
    """
    if may(context, roles):
        return
    have = f"yours {'is' if len(context.roles) == 1 else 'are'} {', '.join(context.roles)}" if context.roles else "you have none"
    raise Denied("denied", f"'{what}' needs the role {either(roles)}; {have}.",
                 next_step="Ask an Administrator for the role, or call with credentials that have it.", roles=list(roles))


def check_owner(context: Context, owner: str, what: str) -> None:
    """Refuse to change what everybody may see and another owner has.

    Raises:
        Denied: ``denied``. It names no owner.
    """
    if not sees_all(context) and context.owner != owner:
        raise Denied("denied", f"{what} belongs to somebody else; only its owner and an Administrator change it.",
                     next_step="Ask its owner, or an Administrator.")
